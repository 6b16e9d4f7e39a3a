// gist train --apply-diff: a model from its published difference to a base model.
#pragma once

#include "cli/options.h"

namespace gist {

constexpr const char* apply_diff_option = "apply-diff";

/// Writes the model, and says what it did. Throws Error(usage) for options of training beside it.
int apply_diff(const Options& options);

}  // namespace gist
