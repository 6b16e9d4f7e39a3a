// RunEvents are what a long run tells its caller, and what it asks.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace gist {

enum class LogLevel : std::uint8_t { detail, info, warning };

/// Each function may be empty. All are called on the thread that called the library.
struct RunEvents {
  /// A line for people, without its end.
  std::function<void(LogLevel level, const std::string& line)> log = {};
  /// Asked between pieces of work: true ends the run early; what is done is kept.
  std::function<bool()> stop_requested = {};

  void tell(LogLevel level, const std::string& line) const {
    if (log) log(level, line);
  }
  bool stops() const { return stop_requested && stop_requested(); }
};

}  // namespace gist
