// evaluate --training: what several runs of gist train wrote, in one page.
#pragma once

#include <vector>

#include "cli/options.h"

namespace gist {

/// --training.
std::vector<OptionSpec> training_comparison_options();

/// Draws the runs' metrics.jsonl into the page of --report. Throws Error(usage) where there is no
/// --report, Error(missing) and Error(data) where a directory has no metrics.
void compare_training(const Options& options);

}  // namespace gist
