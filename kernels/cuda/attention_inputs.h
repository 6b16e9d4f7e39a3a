// All kernels of attention read these inputs.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/relative_bias.h"
#include "kernels/dropout_draw.h"
#include "kernels/ops/attention.h"

namespace gist::cuda {

constexpr int widest_head = 256;

struct AttentionInputs {
  const float* q;                          // [queries, heads, key_dim]
  const float* keys;                       // [slots, kv_heads, key_dim]
  const float* values;                     // [slots, kv_heads, value_dim]
  const std::int32_t *slot, *begin, *end;  // [list]
  std::int64_t list;
  int queries, rows, heads, kv_heads;
  int group;  // heads / kv_heads
  int key_dim, value_dim;
  bool key_fours, value_fours;  // rows of q and keys, and of values, can be read four at a time
  float scale, soft_cap;
  BiasByDistance bias;
  DropoutDraw dropout;
  IndexCheck slots;

  /// Whether entry j names a slot that there is.
  __device__ bool listed(int j) const { return slot[j] >= 0 && slot[j] < slots.limit; }
  __device__ const float* key(int j, int kv_head) const {
    return keys + (static_cast<std::int64_t>(slot[j]) * kv_heads + kv_head) * key_dim;
  }
  __device__ const float* value(int j, int kv_head) const {
    return values + (static_cast<std::int64_t>(slot[j]) * kv_heads + kv_head) * value_dim;
  }
  /// Which of [queries, heads].
  __device__ std::int64_t place(int query, int head) const {
    return static_cast<std::int64_t>(query) * heads + head;
  }
  /// Whether dropout keeps the probabilities of the query head at `place` for the entries
  /// [4 four, 4 four + 4) of the list: a bit each.
  __device__ int kept_of_four(std::int64_t place, int four) const {
    const auto words =
        dropout.words(static_cast<std::uint64_t>(place) * static_cast<std::uint64_t>(list / 4 + 1) +
                      static_cast<std::uint64_t>(four));
    int kept = 0;
    for (int i = 0; i < 4; ++i) {
      if (dropout.keeps(words[static_cast<std::size_t>(i)])) kept |= 1 << i;
    }
    return kept;
  }
};

inline bool read_in_fours(const Tensor& x, std::int64_t width) {
  return width % 4 == 0 && reinterpret_cast<std::uintptr_t>(x.data) % 16 == 0;
}

/// Throws Error(internal) for a size that kernels don't take.
inline void require_below(const char* what, std::int64_t size, std::int64_t limit) {
  if (size < limit) return;
  Fault fault{reinterpret_cast<unsigned long long>(what), 0,
              static_cast<int>(std::min<std::int64_t>(size, INT32_MAX)), static_cast<int>(limit)};
  throw_fault(fault);
}

inline AttentionInputs attention_inputs(const Device& device, const ops::Attention& op) {
  const ops::AttentionSizes sizes = op.sizes();
  require_below("attention: expected the largest dim of a head",
                std::max(sizes.key_dim, sizes.value_dim), widest_head + 1);
  require_below("attention: expected the number of query heads", sizes.queries * sizes.heads,
                INT32_MAX);
  require_below("attention: expected the number of slots", sizes.slots, INT32_MAX);
  require_below("attention: expected the length of the key list", sizes.list, INT32_MAX);
  return {data_of<const float>(op.q),
          data_of<const float>(op.keys),
          data_of<const float>(op.values),
          data_of<const std::int32_t>(op.visible.slot),
          data_of<const std::int32_t>(op.visible.begin),
          data_of<const std::int32_t>(op.visible.end),
          sizes.list,
          static_cast<int>(sizes.queries),
          static_cast<int>(sizes.rows),
          static_cast<int>(sizes.heads),
          static_cast<int>(sizes.kv_heads),
          static_cast<int>(sizes.heads / sizes.kv_heads),
          static_cast<int>(sizes.key_dim),
          static_cast<int>(sizes.value_dim),
          read_in_fours(op.q, sizes.key_dim) && read_in_fours(op.keys, sizes.key_dim),
          read_in_fours(op.values, sizes.value_dim),
          op.spec.scale,
          op.spec.soft_cap,
          {},
          dropout_draw(op.spec.dropout),
          IndexCheck(device, "attention: expected slots", sizes.slots)};
}

/// The elements [at, at + 4) of a row of `width`, zeros beyond it. `fours`: they can be read at
/// once.
__device__ inline float4 load_four(const float* row, int at, int width, bool fours) {
  if (at >= width) return make_float4(0, 0, 0, 0);
  if (fours) return *reinterpret_cast<const float4*>(row + at);
  return make_float4(row[at], at + 1 < width ? row[at + 1] : 0, at + 2 < width ? row[at + 2] : 0,
                     at + 3 < width ? row[at + 3] : 0);
}

/// body(dim) with the narrowest of the compiled widths that takes both dims of a head.
template <typename Body>
void with_head_dim(const AttentionInputs& in, Body body) {
  const int dim = in.key_dim < in.value_dim ? in.value_dim : in.key_dim;
  if (dim <= 32) return body(std::integral_constant<int, 32>());
  if (dim <= 64) return body(std::integral_constant<int, 64>());
  if (dim <= 96) return body(std::integral_constant<int, 96>());
  if (dim <= 128) return body(std::integral_constant<int, 128>());
  if (dim <= 192) return body(std::integral_constant<int, 192>());
  return body(std::integral_constant<int, widest_head>());
}

}  // namespace gist::cuda
