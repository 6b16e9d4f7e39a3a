// What a training run wrote into metrics.jsonl, and fewer points of it for a chart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "cli/report/chart.h"

namespace gist {

struct TrainingStep {
  std::int64_t step = 0;
  double loss = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;
  std::int64_t labels = 0;
  double seconds = 0;
};

struct HeldOutLoss {
  std::int64_t step = 0;
  double loss = 0;
};

struct TrainingMetrics {
  std::vector<TrainingStep> steps;
  std::vector<HeldOutLoss> held_out;
};

/// Reads the lines of metrics.jsonl, in their order. Other lines, a torn last one say, are passed
/// over.
TrainingMetrics parse_training_metrics(std::string_view lines);

/// Of at most `most` stretches of equal length in x, those with points: their mean, with the least
/// and the greatest y. Fewer points than stretches stay as they are. `points` are in the order of
/// x.
std::vector<LineChart::Point> thinned(const std::vector<LineChart::Point>& points,
                                      std::size_t most);

}  // namespace gist
