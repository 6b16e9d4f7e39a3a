// This file prints what a KL divergence means for a model (gist/fidelity_tenths.h).
#pragma once

#include <string>

#include "gist/fidelity_tenths.h"

namespace gist {

/// A row a tenth, and the suggestion. `system` and `reference` are names; at most 80 columns wide.
std::string fidelity_table(const FidelityTenths& found, const std::string& system,
                           const std::string& reference);

}  // namespace gist
