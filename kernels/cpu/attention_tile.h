// One tile of attention: its queries, the keys they see in blocks, its sums. The arithmetic on a
// block is in attention.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention_plan.h"
#include "kernels/cpu/dropout.h"
#include "kernels/cpu/relative_bias.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

/// Up to this many columns, keys lie side by side in vectors; with more, columns do.
constexpr std::int64_t few_columns = 8;

struct AttentionTensors {
  const float* q;       // [queries, heads, key_dim]
  const float* keys;    // [slots, kv_heads, key_dim]
  const float* values;  // [slots, kv_heads, value_dim]
  const AttentionRow* rows;
  const std::int32_t* slot;
  const std::int32_t* begin;
  const std::int32_t* end;
  float* y;            // [queries, heads, value_dim]
  float* log_sum_exp;  // [queries, heads], or null
  float* partials;     // [partial columns, 2 + value_dim]
  BiasTables bias;
};

/// A thread's working memory. Arrays are 64-byte aligned.
struct TileWorkspace {
  float* q;        // scaled: panels [key_dim, panel_columns], or [columns, key_stride] for few
  float* rows;     // [panel_columns, key_stride]: a panel before it is transposed
  float* keys;     // [block_keys, key_stride]
  float* values;   // [block_keys, value_stride]
  float* scores;   // panels [block_keys, panel_columns], or [columns, block_keys] for few
  float* out;      // [tile_columns, value_stride]
  float* maximum;  // [tile_columns], of the scores so far
  float* sum;      // [tile_columns], of exp(score - maximum)
  float* factor;   // [tile_columns]
  std::int32_t* query_index;     // [tile_columns], within the row
  std::int32_t* begin;           // [block_keys]
  std::int32_t* end;             // [block_keys]
  std::int32_t* query_position;  // [tile_columns], where there is a bias
  std::int32_t* member;          // [tile_columns], likewise
  std::int32_t* key_position;    // [block_keys], likewise
  std::uint32_t* index_low;      // [tile_columns], of dropout's draws, where there are any
  std::uint32_t* index_high;     // [tile_columns], likewise
  std::int32_t* entry;           // [block_keys], likewise
  std::int64_t key_stride;       // key_dim and value_dim, rounded up to whole vectors
  std::int64_t value_stride;
};

struct TileCall {
  TileWorkspace workspace;
  std::int64_t columns;
  std::int64_t key_dim;
  std::int64_t value_dim;
  float soft_cap;
  TileBias bias;
  TileDropout dropout;
  // For few columns: the rows of the block's keys and values. Rows up to a multiple of four can be
  // read, and all of a row up to its stride.
  const float* keys[block_keys];
  const float* values[block_keys];
  // Rows that the next call will need, to be fetched into the cache meanwhile.
  const float* next_keys[block_keys];
  const float* next_values[block_keys];
  std::int64_t next_count;
};

/// Scores, exponentiates and adds the n keys in the workspace, of which any may be hidden from some
/// columns unless `all_visible`.
using AttendBlock = void (*)(const TileCall& call, std::int64_t n, bool all_visible);
/// to[i, c] = x[c, i], as in attention_vectors-inl.h.
using Transpose = void (*)(const float* x, std::int64_t stride, std::int64_t columns,
                           std::int64_t dim, float* to, std::int64_t to_stride);
/// TileKernels are the functions that are compiled for each SIMD target.
struct TileKernels {
  AttendBlock attend;
  Transpose transpose;
};

std::size_t workspace_floats(const ops::AttentionSizes& sizes);

void attend_tile(const AttentionTensors& tensors, const AttentionPlan& plan,
                 const AttentionTile& tile, const AttentionSpec& spec,
                 const ops::AttentionSizes& sizes, float* workspace, const TileKernels& kernels);

void merge_tiles(const AttentionTensors& tensors, const AttentionMerge& merge,
                 const ops::AttentionSizes& sizes);

}  // namespace gist::cpu
