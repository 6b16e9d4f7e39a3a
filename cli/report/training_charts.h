// The curves of a training run, and of several in one chart.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/report/chart.h"
#include "cli/report/page.h"
#include "cli/report/training_metrics.h"

namespace gist {

/// StepMeasure is something that is measured at each step.
struct StepMeasure {
  const char* id;
  const char* name;
  const char* unit;  // as on the axis
  Quantity quantity;
  bool from_zero;
  double (*value)(const TrainingStep&);
};

extern const StepMeasure loss_measure, rate_measure, norm_measure, throughput_measure;

/// One point a step.
std::vector<LineChart::Point> points_of(const TrainingMetrics& metrics, const StepMeasure& measure);

/// Loss and held-out loss; of many steps also the loss without its noise.
Html loss_chart(const TrainingMetrics& metrics);
/// Any other measure. A level is drawn at `level` under this name, unless it is 0.
Html measure_chart(const TrainingMetrics& metrics, const StepMeasure& measure,
                   const std::string& level_name = "", double level = 0);

/// A run among others.
struct NamedMetrics {
  std::string name;
  TrainingMetrics metrics;
};
/// The steps of some runs as tab-separated values: of a long run means of stretches of steps. The
/// column of names is left out where the only run has none.
PageFile curves_file(const std::vector<NamedMetrics>& runs);
/// "2 min 5 s"
std::string in_words(const TrainingTotals& totals);

/// A line a run: of losses without their noise, and of held-out losses.
std::vector<Html> compared_charts(const std::vector<NamedMetrics>& runs);

}  // namespace gist
