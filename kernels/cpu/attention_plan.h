// How one attention call is cut into tiles: independent pieces of work for threads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/ops/attention.h"

namespace gist::cpu {

constexpr std::int64_t block_keys = 64;     // keys that a tile scores at a time
constexpr std::int64_t panel_columns = 32;  // columns of a tile that lie side by side in memory
constexpr std::int64_t tile_columns = 128;
// Rows of few columns have their keys split, so that they can occupy all threads.
constexpr std::int64_t split_columns = 64;
constexpr std::int64_t split_keys = 512;

/// The intervals of block_keys keys of a row, of those that are not empty. min_begin > max_begin
/// where none is.
struct KeyBlock {
  std::int32_t min_begin, max_begin;
  std::int32_t min_end, max_end;
};

/// Query heads that share a key head are columns of one problem: column c of a row and a key head
/// is query c / group, query head key_head * group + c % group.
struct AttentionTile {
  std::int32_t row = 0;
  std::int32_t kv_head = 0;
  std::int64_t column_begin = 0, column_end = 0;
  std::int64_t key_begin = 0,
               key_end = 0;   // within the row's keys; key_begin divides by block_keys
  std::int64_t partial = -1;  // where its unfinished sums go (in columns), or -1: it sees all keys
};

/// Tiles that saw different keys of the same columns.
struct AttentionMerge {
  std::int32_t row = 0;
  std::int32_t kv_head = 0;
  std::int64_t columns = 0;
  std::int64_t partial = 0;  // of the first tile; the others follow
  std::int64_t count = 0;
};

/// The blocks of all rows, one row after the other.
struct KeyBlocks {
  std::vector<KeyBlock> blocks;
  std::vector<std::int64_t> first;  // [rows]

  const KeyBlock* of_row(std::int32_t row) const {
    return blocks.data() + first[static_cast<std::size_t>(row)];
  }
};

/// Throws Error(internal) for rows or slots that lie outside the tensors.
void find_blocks(const AttentionKeys& visible, const ops::AttentionSizes& sizes, KeyBlocks& blocks);

/// Kept from call to call, so that its arrays are allocated once.
struct AttentionPlan {
  KeyBlocks blocks;
  std::vector<AttentionTile> tiles;
  std::vector<AttentionMerge> merges;
  std::int64_t partial_columns = 0;
};

/// The plan depends on shapes and visibility only, not on the number of threads. Throws as
/// find_blocks.
void plan_attention(const AttentionKeys& visible, const ops::AttentionSizes& sizes,
                    AttentionPlan& plan);

}  // namespace gist::cpu
