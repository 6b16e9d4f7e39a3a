// The gradient of attention is computed with these: its tensors, a thread's working memory, and the
// keys of a tile in groups. The arithmetic is in attention_backward.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/attention_plan.h"
#include "kernels/cpu/relative_bias.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

struct BackwardTensors {
  const float* q;       // [queries, heads, key_dim]
  const float* keys;    // [slots, kv_heads, key_dim]
  const float* values;  // [slots, kv_heads, value_dim]
  const AttentionRow* rows;
  const std::int32_t* slot;
  const std::int32_t* begin;
  const std::int32_t* end;
  const float* y;            // [queries, heads, value_dim]
  const float* log_sum_exp;  // [queries, heads]
  const float* dy;           // as y
  float* dq;                 // as q
  float* dkeys;              // as keys
  float* dvalues;            // as values
  BiasTables bias;
  std::int64_t buckets;  // of the bias' table
  double* bias_sums;     // [rows, kv_heads, buckets, group]: the table's gradients; or null
};

/// A thread's working memory. Arrays are 64-byte aligned. Columns are as in attention_plan.h. Rows
/// of keys are `key_width` floats, of which those past key_dim are zero, and `key_stride` apart;
/// likewise of values.
struct BackwardWorkspace {
  float* q;             // [tile_columns, key_stride], scaled
  float* dy;            // [tile_columns, value_stride]
  float* q_panels;      // the same in panels [key_width, panel_columns]
  float* dy_panels;     // panels [value_width, panel_columns]
  float* dq;            // [tile_columns, key_stride], before the scale
  float* log_sum_exp;   // [tile_columns]
  float* mean;          // [tile_columns]: dy . y, the mean of the probabilities' gradients
  float* keys;          // [block_keys, key_stride]
  float* values;        // [block_keys, value_stride]
  float* dkeys;         // [block_keys, key_stride]: what the tile adds
  float* dvalues;       // [block_keys, value_stride]
  float* weights;       // [block_keys, pair_stride]: scores, then probabilities
  float* dscores;       // [block_keys, pair_stride]: gradients of probabilities, then of scores;
                        // a vector before them can be read
  std::int64_t* entry;  // [block_keys]: where the key stands, in [slots, kv_heads]
  std::int32_t* column_begin;  // [block_keys]: the key is visible to columns [begin, end)
  std::int32_t* column_end;    // [block_keys]
  // Where there is a bias:
  std::int32_t* query_position;  // [tile_columns]
  std::int32_t* member;          // [tile_columns]
  std::int32_t* key_position;    // [block_keys]
  float* dbias;                  // [distances, group]: sums of the scores' gradients
  // Where there is dropout, as in TileDropout:
  std::uint32_t* index_low;   // [tile_columns]
  std::uint32_t* index_high;  // [tile_columns]
  std::int32_t* list_entry;   // [block_keys]
  std::int64_t key_width, key_stride;
  std::int64_t value_width, value_stride;
};

/// Not a power of two, so that rows don't collide in the cache.
constexpr std::int64_t pair_stride = tile_columns + 16;

/// Neighbouring keys, as many as a register tile has rows, and the columns that see any of them and
/// those that see all of them.
struct KeyGroup {
  std::int64_t first, count;  // within the block
  std::int64_t any_begin, any_end;
  std::int64_t all_begin, all_end;
};

/// Cuts a block's n keys into groups of `rows`, the last one of `few_rows` where these suffice.
/// Intervals past n must be empty, and those of the others may not be. Returns the number of
/// groups.
std::int64_t group_keys(const BackwardWorkspace& w, std::int64_t n, std::int64_t rows,
                        std::int64_t few_rows, KeyGroup* groups);

/// `bias_places`: the size of dbias.
BackwardWorkspace lay_out_backward(const ops::AttentionSizes& sizes, std::int64_t bias_places,
                                   float* memory);
std::size_t backward_workspace_floats(const ops::AttentionSizes& sizes, std::int64_t bias_places);

/// dtable[buckets, heads] += the sums of all rows, in their order.
void add_bias_sums(const double* sums, const ops::AttentionSizes& sizes, std::int64_t buckets,
                   float* dtable);

}  // namespace gist::cpu
