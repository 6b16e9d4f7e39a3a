// The options that say which systems an evaluation compares, and the systems that they name.
#pragma once

#include <vector>

#include "cli/options.h"
#include "gist/evaluation_system.h"

namespace gist {

/// The options that say which systems there are: --model, --condition, --gist-tokens, --store,
/// --allow-mismatch, --baseline.
std::vector<OptionSpec> system_options();

/// All systems that the options name, in their order: each model, then each baseline of the first
/// model under pos, with the k of the first under gist. Names are different from each other. Throws
/// Error(usage) for options that contradict each other.
Systems open_systems(const Options& options);

}  // namespace gist
