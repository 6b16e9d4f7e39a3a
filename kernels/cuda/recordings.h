// Work that is queued again and again: recorded, and then queued as one graph. The host spends far
// less on a graph than on its kernels one by one.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "kernels/cuda/device.h"

namespace gist::cuda {

class Recordings final : public Replayer {
 public:
  /// Graphs of the most recent keys are kept, as many as this.
  static constexpr std::size_t most = 16;

  /// `scratch`: what recorded kernels work in. Where any of it moves, all recordings end.
  Recordings(Device& device, std::vector<const Scratch*> scratch)
      : device_(device), scratch_(std::move(scratch)) {}

  /// The first call under a key runs `work` as it is, so that scratch memory grows and algorithms
  /// are picked; the second records it; later ones only replay it.
  void run(std::span<const std::uint64_t> key, const std::function<void()>& work) override;

 private:
  struct Entry {
    std::vector<std::uint64_t> key;
    std::optional<Graph> graph;
  };
  void forget_moved();

  Device& device_;
  std::vector<const Scratch*> scratch_;
  std::uint64_t moves_ = 0;     // of the scratch memory, when the entries were made
  std::vector<Entry> entries_;  // the most recent last
};

}  // namespace gist::cuda
