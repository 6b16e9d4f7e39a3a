// The options that say which systems an evaluation compares, and the systems that they name.
#pragma once

#include <vector>

#include "cli/model_options.h"
#include "cli/options.h"
#include "gist/evaluation_system.h"

namespace gist {

/// The options that say which systems there are: --model, --condition, --gist-tokens, --store,
/// --allow-mismatch, --baseline.
std::vector<OptionSpec> system_options();

/// SystemsRequest holds what those options say.
struct SystemsRequest {
  SystemSetup common;  // what all systems have in common
  /// A system has a model and what is asked of its contexts, as if it were behind no store.
  struct System {
    std::string model;  // its directory
    GistingRequest gisting;
    std::string adapter = {};  // its directory; "": none
  };
  std::vector<System> systems;
  std::optional<std::string> store;
  StoreReading reading;
  bool allow_mismatch = false;
  std::vector<Baseline> baselines;
};
/// Throws Error(usage) for options that contradict each other.
SystemsRequest systems_request(const Options& options);

/// Opens all systems, in their order: each model, then each baseline of the first model under pos,
/// with the k of the first under gist. Names are different from each other. Throws Error(usage)
/// where what is asked for doesn't fit the models.
Systems open_systems(const SystemsRequest& request);

}  // namespace gist
