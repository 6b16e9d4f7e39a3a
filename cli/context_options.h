// The options of the commands that generate: behind which context records are answered, and how.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "cli/options.h"
#include "core/generate.h"
#include "formats/sequences/context.h"

namespace gist {

/// --store, --condition, --gist-tokens, --allow-mismatch, --store-cache, --trust-store.
std::vector<OptionSpec> context_options();
/// ContextRequest holds what those options say.
struct ContextRequest {
  std::optional<std::string> store;
  StoreReading reading;
  bool allow_mismatch = false;
  GistingRequest gisting;  // without a store
};
/// Throws Error(usage) for options that contradict each other.
ContextRequest context_request(const Options& options);
/// Throws Error(usage) as gisting_of.
ContextSource context_source(const ContextRequest& request, const ModelFiles& files,
                             const ModelSpec& spec);

/// Returns what --max-new-tokens, --batch-rows and --batch-tokens say.
GenerationOptions generation_limits(const Options& options);
/// The same with --temperature, --top-k, --top-p and --seed.
GenerationOptions generation_options(const Options& options);

}  // namespace gist
