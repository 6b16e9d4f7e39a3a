// Attention of rows with a single query: their keys are split over blocks, and the parts merged.
#pragma once

#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/scratch_pieces.h"

namespace gist::cuda {

/// How many splits a plan has room for: as many as there can be, but for rows that share so many
/// keys that their partial sums would fill more memory than is good.
int most_splits(const AttentionInputs& in);

/// The splits' partial sums: [splits, heads, 2 + value_dim].
inline std::int64_t partial_floats(const AttentionInputs& in, int splits) {
  return std::int64_t{splits} * in.heads * (2 + in.value_dim);
}

/// Queues the attention of all rows that have splits. Rows of y may be their rows of q.
void attend_single_queries(Device& device, const AttentionInputs& in, const AttentionPlan& plan,
                           int splits, float* partials, float* y, float* log_sum_exp);

}  // namespace gist::cuda
