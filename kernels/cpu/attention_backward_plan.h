// How the gradient of one attention call is cut into pieces of work for threads.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/cpu/attention_plan.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

/// Kept from call to call, so that its arrays are allocated once.
struct AttentionBackwardPlan {
  KeyBlocks blocks;
  std::vector<std::int32_t> rows;     // those with the most work first
  std::vector<std::uint8_t> has_row;  // [queries]: no other query gets its gradient from a row
  std::vector<std::uint8_t> has_key;  // [slots], likewise
  double pairs = 0;                   // of a row's query and key, over all rows
};

/// Throws as find_blocks.
void plan_attention_backward(const AttentionKeys& visible, const ops::AttentionSizes& sizes,
                             AttentionBackwardPlan& plan);

}  // namespace gist::cpu
