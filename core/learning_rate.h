// The learning rate over a run: it rises during the warm-up, then falls or stays.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gist {

enum class Schedule : std::uint8_t { linear, cosine, constant };

std::string_view name_of(Schedule schedule);
std::optional<Schedule> schedule_named(std::string_view name);

/// The factor of the peak rate in step s = 0 .. steps - 1: min(1, (s + 1) / warmup) times 1 - s /
/// steps (linear), (1 + cos(pi s / steps)) / 2 (cosine) or 1.
double learning_rate_factor(Schedule schedule, std::int64_t step, std::int64_t warmup,
                            std::int64_t steps);

}  // namespace gist
