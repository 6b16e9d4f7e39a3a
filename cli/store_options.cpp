#include "cli/store_options.h"

#include "kernels/error.h"

namespace gist {

OptionSpec trust_store_option() {
  return {"trust-store", OptionKind::flag, "", "",
          "open the store without reading it first in a process of its own, as is done once for "
          "each file lest a damaged one does harm"};
}

OptionSpec store_cache_option() {
  return {"store-cache", OptionKind::integer, "MIB", "64",
          "memory for parts of the store that were read, in MiB"};
}

void refuse_gisting_beside_store(const Options& options) {
  for (const char* name : {"condition", "gist-tokens"}) {
    if (!options.has(name)) continue;
    fail(ErrorKind::usage, "--{} and --store exclude each other: the store says it", name);
  }
}

StoreReading store_reading(const Options& options) {
  StoreReading reading;
  if (options.knows("trust-store")) reading.trusted = options.flag("trust-store");
  if (options.knows("store-cache")) {
    reading.cache_bytes = static_cast<std::uint64_t>(options.integer("store-cache", 0, 1 << 24))
                          << 20;
  }
  return reading;
}

}  // namespace gist
