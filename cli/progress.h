// One line on standard error that says how far a run is; only on a terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace gist {

class Progress {
 public:
  /// `unit`: what is counted, in the plural ("prompts").
  explicit Progress(std::string unit);
  /// Clears the line.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `fraction` of the whole work, where that is known, gives the time that is left.
  void update(std::uint64_t done, std::optional<double> fraction);
  /// The same with what stands behind the count: "loss 0.12, 14,000 tokens/s".
  void update(std::uint64_t done, std::optional<double> fraction, const std::string& details);

 private:
  using Clock = std::chrono::steady_clock;
  std::string unit_;
  bool terminal_;
  Clock::time_point start_ = Clock::now();
  Clock::time_point shown_{};
};

}  // namespace gist
