// Attention of tiles of columns on tensor cores.
#pragma once

#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_staging.h"

namespace gist::cuda {

/// Queues the attention of a plan's tiles, of which there are at most `tiles`. Their sizes are
/// those of attention_tile.h.
void attend_tiles_in_bf16(Device& device, const AttentionInputs& in, const StagedInputs& staged,
                          const AttentionPlan& plan, int tiles, float* y, float* log_sum_exp);

}  // namespace gist::cuda
