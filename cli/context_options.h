// The options of the commands that generate: behind which context records are answered, and how.
#pragma once

#include <vector>

#include "cli/options.h"
#include "core/generate.h"
#include "formats/sequences/context.h"

namespace gist {

/// --store, --condition, --gist-tokens, --allow-mismatch, --store-cache, --trust-store.
std::vector<OptionSpec> context_options();
/// Returns what the options say about contexts. Throws Error(usage) for options that contradict
/// each other.
ContextSource context_source(const ModelFiles& files, const ModelSpec& spec,
                             const Options& options);

/// Returns what --max-new-tokens, --batch-rows and --batch-tokens say.
GenerationOptions generation_limits(const Options& options);
/// Sampling with the gist token banned, and the model's end tokens; greedy where the command has no
/// options for sampling; within generation_limits.
GenerationOptions generation_options(const ModelFiles& files, const Options& options);

}  // namespace gist
