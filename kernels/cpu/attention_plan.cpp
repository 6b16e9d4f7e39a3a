#include "kernels/cpu/attention_plan.h"

#include <algorithm>
#include <limits>

#include "kernels/error.h"

namespace gist::cpu {
namespace {

void check_row(const AttentionRow& row, std::int64_t index, const ops::AttentionSizes& sizes) {
  if (row.query_begin < 0 || row.query_begin > row.query_end || row.query_end > sizes.queries ||
      row.key_begin < 0 || row.key_begin > row.key_end || row.key_end > sizes.list ||
      row.query_index < 0) {
    fail(ErrorKind::internal,
         "attention: row {} has queries [{}, {}) from index {} and keys [{}, {}); expected ranges "
         "within {} queries and {} keys",
         index, row.query_begin, row.query_end, row.query_index, row.key_begin, row.key_end,
         sizes.queries, sizes.list);
  }
}

void add_blocks(const AttentionRow& row, const AttentionKeys& visible, std::int64_t slots,
                std::vector<KeyBlock>& blocks) {
  const auto* slot = static_cast<const std::int32_t*>(visible.slot.data);
  const auto* begin = static_cast<const std::int32_t*>(visible.begin.data);
  const auto* end = static_cast<const std::int32_t*>(visible.end.data);
  for (std::int64_t first = row.key_begin; first < row.key_end; first += block_keys) {
    KeyBlock block{
        std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min(),
        std::numeric_limits<std::int32_t>::max(), std::numeric_limits<std::int32_t>::min()};
    for (std::int64_t j = first; j < std::min<std::int64_t>(row.key_end, first + block_keys); ++j) {
      if (slot[j] < 0 || slot[j] >= slots) {
        fail(ErrorKind::internal, "attention: expected slots within [0, {}); slot[{}] is {}", slots,
             j, slot[j]);
      }
      if (begin[j] >= end[j]) continue;
      block.min_begin = std::min(block.min_begin, begin[j]);
      block.max_begin = std::max(block.max_begin, begin[j]);
      block.min_end = std::min(block.min_end, end[j]);
      block.max_end = std::max(block.max_end, end[j]);
    }
    blocks.push_back(block);
  }
}

/// Few columns can't occupy all threads: their keys are split, and the parts merged afterwards.
/// Key heads come in the inner loop, because they lie side by side in memory.
void add_split_tiles(std::int32_t row, std::int64_t kv_heads, std::int64_t columns,
                     std::int64_t keys, AttentionPlan& plan) {
  const std::int64_t parts = (keys + split_keys - 1) / split_keys;
  const std::int64_t partial = plan.partial_columns;
  for (std::int64_t part = 0; part < parts; ++part) {
    for (std::int32_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
      plan.tiles.push_back({row, kv_head, 0, columns, part * split_keys,
                            std::min(keys, (part + 1) * split_keys),
                            partial + (kv_head * parts + part) * columns});
    }
  }
  for (std::int32_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
    plan.merges.push_back({row, kv_head, columns, partial + kv_head * parts * columns, parts});
  }
  plan.partial_columns += kv_heads * parts * columns;
}

/// Later queries of causal rows see more keys: the largest pieces of work come first.
void add_tiles(std::int32_t row, std::int64_t kv_heads, std::int64_t columns, std::int64_t keys,
               AttentionPlan& plan) {
  const std::int64_t tiles = (columns + tile_columns - 1) / tile_columns;
  for (std::int64_t tile = tiles - 1; tile >= 0; --tile) {
    for (std::int32_t kv_head = 0; kv_head < kv_heads; ++kv_head) {
      plan.tiles.push_back({row, kv_head, tile * tile_columns,
                            std::min(columns, (tile + 1) * tile_columns), 0, keys, -1});
    }
  }
}

}  // namespace

void find_blocks(const AttentionKeys& visible, const ops::AttentionSizes& sizes,
                 KeyBlocks& blocks) {
  const auto* rows = static_cast<const AttentionRow*>(visible.rows.data);
  blocks.blocks.clear();
  blocks.first.clear();
  for (std::int64_t r = 0; r < sizes.rows; ++r) {
    check_row(rows[r], r, sizes);
    blocks.first.push_back(static_cast<std::int64_t>(blocks.blocks.size()));
    add_blocks(rows[r], visible, sizes.slots, blocks.blocks);
  }
}

void plan_attention(const AttentionKeys& visible, const ops::AttentionSizes& sizes,
                    AttentionPlan& plan) {
  const auto* rows = static_cast<const AttentionRow*>(visible.rows.data);
  const std::int64_t group = sizes.heads / sizes.kv_heads;
  find_blocks(visible, sizes, plan.blocks);
  plan.tiles.clear();
  plan.merges.clear();
  plan.partial_columns = 0;
  for (std::int64_t r = 0; r < sizes.rows; ++r) {
    const AttentionRow& row = rows[r];
    const std::int64_t columns = (row.query_end - row.query_begin) * group;
    const std::int64_t keys = row.key_end - row.key_begin;
    const auto row_index = static_cast<std::int32_t>(r);
    if (columns <= split_columns && keys > split_keys) {
      add_split_tiles(row_index, sizes.kv_heads, columns, keys, plan);
    } else {
      add_tiles(row_index, sizes.kv_heads, columns, keys, plan);
    }
  }
}

}  // namespace gist::cpu
