// --exclude: files whose records are left out of the data.
#pragma once

#include <vector>

#include "cli/options.h"

namespace gist {

/// --exclude.
std::vector<OptionSpec> exclude_options();
/// Throws Error(usage) where more than one of --data, --eval-data and --exclude is standard input.
void check_standard_input(const Options& options);

}  // namespace gist
