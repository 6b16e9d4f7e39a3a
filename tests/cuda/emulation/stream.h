// The stream of an emulated device: an operation runs as it is queued, unless it is recorded.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace gist::emulation {

class Stream {
 public:
  using Operations = std::vector<std::function<void()>>;

  void queue(std::function<void()> operation);
  bool recording() const { return recorded_.has_value(); }
  void begin_recording() { recorded_.emplace(); }
  Operations end_recording();
  void replay(const Operations& operations) const;

 private:
  std::optional<Operations> recorded_;
};

/// StreamCounts count what all streams did since the program began, for tests.
struct StreamCounts {
  std::int64_t recordings = 0;
  std::int64_t replays = 0;
};
StreamCounts& stream_counts();

}  // namespace gist::emulation
