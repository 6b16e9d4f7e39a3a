#include "kernels/cpu/attention_backward_plan.h"

#include <algorithm>
#include <numeric>

namespace gist::cpu {
namespace {

std::int64_t pairs_of(const AttentionRow& row) {
  return std::int64_t{row.query_end - row.query_begin} * (row.key_end - row.key_begin);
}

/// Rows with much work come first, so that threads end at about the same time.
void order_rows(const AttentionRow* rows, std::int64_t count, std::vector<std::int32_t>& order) {
  order.resize(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const auto more = [&](std::int32_t a, std::int32_t b) {
    const std::int64_t pairs_a = pairs_of(rows[a]);
    const std::int64_t pairs_b = pairs_of(rows[b]);
    return pairs_a != pairs_b ? pairs_a > pairs_b : a < b;
  };
  if (!std::is_sorted(order.begin(), order.end(), more))
    std::sort(order.begin(), order.end(), more);
}

}  // namespace

void plan_attention_backward(const AttentionKeys& visible, const ops::AttentionSizes& sizes,
                             AttentionBackwardPlan& plan) {
  const auto* rows = static_cast<const AttentionRow*>(visible.rows.data);
  const auto* slot = static_cast<const std::int32_t*>(visible.slot.data);
  find_blocks(visible, sizes, plan.blocks);
  order_rows(rows, sizes.rows, plan.rows);
  plan.pairs = 0;
  plan.has_row.assign(static_cast<std::size_t>(sizes.queries), 0);
  plan.has_key.assign(static_cast<std::size_t>(sizes.slots), 0);
  for (std::int64_t r = 0; r < sizes.rows; ++r) {
    plan.pairs += static_cast<double>(pairs_of(rows[r]));
    std::fill(plan.has_row.begin() + rows[r].query_begin, plan.has_row.begin() + rows[r].query_end,
              std::uint8_t{1});
    for (std::int64_t j = rows[r].key_begin; j < rows[r].key_end; ++j) {
      plan.has_key[static_cast<std::size_t>(slot[j])] = 1;
    }
  }
}

}  // namespace gist::cpu
