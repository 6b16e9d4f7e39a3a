#include "core/learning_rate.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gist {
namespace {

constexpr Schedule schedules[] = {Schedule::linear, Schedule::cosine, Schedule::constant};

}  // namespace

std::string_view name_of(Schedule schedule) {
  switch (schedule) {
    case Schedule::linear:
      return "linear";
    case Schedule::cosine:
      return "cosine";
    case Schedule::constant:
      return "constant";
  }
  return "";
}

std::optional<Schedule> schedule_named(std::string_view name) {
  for (const Schedule schedule : schedules) {
    if (name_of(schedule) == name) return schedule;
  }
  return std::nullopt;
}

double learning_rate_factor(Schedule schedule, std::int64_t step, std::int64_t warmup,
                            std::int64_t steps) {
  const double rise =
      warmup > 0 ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(warmup)) : 1;
  const double done = static_cast<double>(step) / static_cast<double>(steps);
  switch (schedule) {
    case Schedule::linear:
      return rise * (1 - done);
    case Schedule::cosine:
      return rise * (1 + std::cos(std::numbers::pi * done)) / 2;
    case Schedule::constant:
      return rise;
  }
  return rise;
}

}  // namespace gist
