#include "cli/words.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>

namespace gist {

std::string duration_in_words(double seconds) {
  constexpr std::int64_t minute = 60, hour = 60 * minute, day = 24 * hour;
  if (seconds < 1) return "less than a second";
  // A rate that is nearly nothing gives any number.
  const auto whole = static_cast<std::int64_t>(std::llround(std::fmin(seconds, 1e12)));
  if (whole < 100) return fmt::format("{} s", whole);
  const std::int64_t minutes = (whole + minute / 2) / minute;
  if (minutes < 60) return fmt::format("{} min", minutes);
  if (minutes * minute < day) return fmt::format("{} h {} min", minutes / 60, minutes % 60);
  const std::int64_t hours = (whole + hour / 2) / hour;
  return fmt::format("{} {} h", counted(static_cast<std::uint64_t>(hours / 24), "day"), hours % 24);
}

}  // namespace gist
