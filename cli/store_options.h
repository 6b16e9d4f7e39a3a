// The options by which a command opens the stores that it reads.
#pragma once

#include "cli/options.h"
#include "formats/store/gist_store.h"

namespace gist {

/// --trust-store.
OptionSpec trust_store_option();
/// --store-cache, for commands that look rows up.
OptionSpec store_cache_option();

/// Throws Error(usage) where --condition or --gist-tokens stand beside --store, which says both.
void refuse_gisting_beside_store(const Options& options);

/// Returns what those options say, as far as the command has them.
StoreReading store_reading(const Options& options);

}  // namespace gist
