// `gist train --report`: a training run as a page.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/report/provenance.h"
#include "cli/report/training_metrics.h"

namespace gist {

/// TrainingRun says how far a run is, and what isn't in its metrics.
struct TrainingRun {
  std::string output;  // the directory
  std::int64_t step = 0;
  std::int64_t steps = 0;  // of the whole run
  std::string state;       // "finished", "running", "stopped by a signal"
  double clip = 0;         // the largest norm of a gradient; 0: any
};

/// The whole page. Of long runs, charts and tables show means, least and greatest values of
/// stretches of steps; of many evaluations, samples show some.
std::string training_page(const TrainingMetrics& metrics, const TrainingRun& run,
                          const Provenance& provenance);

}  // namespace gist
