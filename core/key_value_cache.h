// Keys and values of the rows that are being generated, on the device, in blocks. Keys stand
// rotated to their positions.
#pragma once

#include <cstdint>
#include <vector>

#include "core/model.h"

namespace gist {

class KeyValueCache {
 public:
  static constexpr std::int32_t block_size = 16;  // slots

  KeyValueCache() = default;
  /// Room for at least `slots` keys per layer of a stack: of its own tokens, or of those that its
  /// cross-attention reads. The model must outlive it.
  KeyValueCache(const Model& model, int stack, std::int32_t slots);

  /// [slots, kv_heads, key_dim] and [slots, kv_heads, value_dim] of one layer.
  Tensor keys(int layer) const { return keys_[static_cast<std::size_t>(layer)]; }
  Tensor values(int layer) const { return values_[static_cast<std::size_t>(layer)]; }

  /// Bytes of one key and its value, over all layers.
  static std::size_t bytes_per_slot(const StackSpec& stack);

  std::int32_t free_blocks() const { return static_cast<std::int32_t>(free_.size()); }
  /// A block that nobody holds: slots [block * block_size, ...). Throws Error(internal) when none
  /// is left: callers reserve before they start a row.
  std::int32_t take_block();
  void give_block(std::int32_t block);

 private:
  Buffer memory_;
  std::vector<Tensor> keys_, values_;
  std::vector<std::int32_t> free_;
};

}  // namespace gist
