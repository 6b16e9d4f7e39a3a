// This file reads what a training run wrote into metrics.jsonl, and thins its points out for a
// chart.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
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

/// SampleAnswer is what the model answered to a sample, as it stood after a step.
struct SampleAnswer {
  std::int64_t step = 0;
  std::string completion;
  std::int64_t tokens = 0;
  bool ended = true;  // by itself; else it was cut after so many tokens
};

/// A held-out record that was answered at each evaluation.
struct TrainingSample {
  std::uint64_t ordinal = 0;
  std::string instruction, input, reference_answer;
  std::vector<SampleAnswer> answers;
};

struct TrainingMetrics {
  std::vector<TrainingStep> steps;
  std::vector<HeldOutLoss> held_out;
  std::vector<TrainingSample> samples;  // in the order in which they were first answered
};

/// Reads the lines of metrics.jsonl, in their order. Other lines, a torn last one say, are passed
/// over.
TrainingMetrics parse_training_metrics(std::string_view lines);

/// Nothing where there is none.
const HeldOutLoss* lowest(const std::vector<HeldOutLoss>& losses);

struct TrainingTotals {
  std::int64_t tokens = 0;
  double seconds = 0;
  double tokens_per_second = 0;  // the steps' median
};
/// The totals of a run with one step at least.
TrainingTotals totals_of(const TrainingMetrics& metrics);
double tokens_per_second(const TrainingStep& step);

/// Returns at most `most` points: x is cut into stretches of equal length, and each that has points
/// gives their mean, with the least and the greatest y. Fewer points than stretches stay as they
/// are. `points` are in the order of x.
std::vector<LineChart::Point> thinned(const std::vector<LineChart::Point>& points,
                                      std::size_t most);

/// Each point's y is the mean of those at most `half` places away: a curve without its noise, whose
/// first and last points are means of fewer.
std::vector<LineChart::Point> smoothed(const std::vector<LineChart::Point>& points,
                                       std::size_t half);

}  // namespace gist
