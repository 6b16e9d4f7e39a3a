#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <utility>

namespace gist {

Progress::Progress(std::string unit)
    : unit_(std::move(unit)), terminal_(::isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (terminal_ && shown_ != Clock::time_point{}) fmt::print(stderr, "\r\033[K");
}

void Progress::update(std::uint64_t done, std::optional<double> fraction) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  update(done, fraction, fmt::format("{:.1f}/s", static_cast<double>(done) / seconds));
}

void Progress::update(std::uint64_t done, std::optional<double> fraction,
                      const std::string& details) {
  const Clock::time_point now = Clock::now();
  if (!terminal_ || now - shown_ < std::chrono::milliseconds(200)) return;
  shown_ = now;
  const double seconds = std::chrono::duration<double>(now - start_).count();
  std::string left;
  if (fraction && *fraction > 0) {
    left = fmt::format(", {:.0f} %, {:.0f} s left", 100 * *fraction,
                       seconds * (1 - *fraction) / *fraction);
  }
  fmt::print(stderr, "\r\033[K{} {}, {}{}", done, unit_, details, left);
  std::fflush(stderr);
}

}  // namespace gist
