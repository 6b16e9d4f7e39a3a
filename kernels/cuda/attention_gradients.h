// The two kernels of attention's gradient, one of each dtype that products are computed in:
// attention_f32_backward.cu and attention_bf16_backward.cu.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>

#include "kernels/cuda/attention_gradient_tile.h"
#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_staging.h"

namespace gist::cuda {

/// Both kernels read these.
struct GradientInputs {
  AttentionInputs in;
  AttentionOutputs out;
  AttentionPlan plan;
  StagedInputs staged;  // in bf16 alone
  const Bf16* dy;       // [queries, heads, width], likewise
};

/// A pass over all tiles of columns.
struct QueryPass {
  int pack;   // heads a tile
  int tiles;  // at most
  BucketSums buckets;
  float* dq;  // null: not wanted; may be q or dy
};

/// The gradients of the key list's entries, dkeys[list, kv_heads, key_dim] and dvalues[list,
/// kv_heads, value_dim], by at most so many tiles of keys.
void key_gradients_f32(Device& device, const GradientInputs& from, int tiles, float* dkeys,
                       float* dvalues);
void key_gradients_bf16(Device& device, const GradientInputs& from, int tiles, float* dkeys,
                        float* dvalues);
void query_gradients_f32(Device& device, const GradientInputs& from, const QueryPass& pass);
void query_gradients_bf16(Device& device, const GradientInputs& from, const QueryPass& pass);

inline Grid tile_grid(int tiles, int heads, std::size_t shared) {
  return {dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(heads)), dim3(tile_threads),
          shared};
}

}  // namespace gist::cuda
