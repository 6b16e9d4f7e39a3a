// A cache of which the rows that are being generated have reserved what they may come to hold.
#pragma once

#include <cstdint>
#include <utility>

#include "core/key_value_cache.h"

namespace gist {

struct ReservedCache {
  KeyValueCache cache;
  std::int32_t total = 0;     // blocks
  std::int32_t reserved = 0;  // of them

  explicit ReservedCache(KeyValueCache made) : cache(std::move(made)), total(cache.free_blocks()) {}
  bool has_room(std::int32_t blocks) const { return reserved + blocks <= total; }
  /// A larger cache, while no row holds the old one.
  void grow(const Model& model, int stack, std::int32_t blocks) {
    if (has_room(blocks)) return;
    cache = KeyValueCache();
    cache = KeyValueCache(model, stack, blocks * KeyValueCache::block_size);
    total = cache.free_blocks();
  }
};

}  // namespace gist
