#include "core/key_value_cache.h"

#include "kernels/error.h"

namespace gist {

KeyValueCache::KeyValueCache(const Model& model, int stack_index, std::int32_t slots) {
  const StackSpec& stack = model.spec().stacks[static_cast<std::size_t>(stack_index)];
  const std::int32_t blocks = (slots + block_size - 1) / block_size;
  const std::int64_t rows = std::int64_t{blocks} * block_size;
  Tensor key{nullptr, Dtype::f32, {rows, stack.kv_heads, stack.key_dim}};
  Tensor value{nullptr, Dtype::f32, {rows, stack.kv_heads, stack.value_dim}};
  memory_ = model.backend().allocate(static_cast<std::size_t>(stack.layers) *
                                     (key.bytes() + value.bytes()));
  auto* next = static_cast<std::byte*>(memory_.data());
  for (int layer = 0; layer < stack.layers; ++layer) {
    key.data = next;
    value.data = next + key.bytes();
    next += key.bytes() + value.bytes();
    keys_.push_back(key);
    values_.push_back(value);
  }
  // Taken from the back: the first block first, so that rows stand close together.
  for (std::int32_t block = blocks; block-- > 0;) free_.push_back(block);
}

std::size_t KeyValueCache::bytes_per_slot(const StackSpec& stack) {
  return sizeof(float) * static_cast<std::size_t>(stack.layers) *
         static_cast<std::size_t>(stack.key_width() + stack.value_width());
}

std::int32_t KeyValueCache::take_block() {
  if (free_.empty()) fail(ErrorKind::internal, "the key/value cache has no block left");
  const std::int32_t block = free_.back();
  free_.pop_back();
  return block;
}

void KeyValueCache::give_block(std::int32_t block) {
  free_.push_back(block);
}

}  // namespace gist
