// Held-out records in the page of a training run: how the model answered them as it went.
#pragma once

#include "cli/report/html.h"
#include "cli/report/training_metrics.h"

namespace gist {

/// Each sample with its reference and its answers by step, side by side. Of more answers than a
/// page has room for, the first, the last, that of the lowest held-out loss, and some between.
Html training_samples(const TrainingMetrics& metrics);

}  // namespace gist
