// A pair of tiles in attention's gradient: columns (attention_plan.h) and keys.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention_products.h"
#include "kernels/cuda/attention_scores.h"

namespace gist::cuda {

/// A block's own tile stays; the other side's tiles come one after the other.
template <int dim_>
struct BackwardTile {
  static constexpr int dim = dim_;
  static constexpr int own = dim <= 128 ? 64 : 32;
  static constexpr int other = dim <= 64 ? 64 : 32;
  static constexpr int rows_each = own / tile_height;  // of a thread
  static constexpr int others_each = other / tile_lanes;
  // That a multiprocessor's shared memory has room for: they may take as many registers.
  static constexpr int blocks = dim <= 32 ? 3 : dim <= 128 ? 2 : 1;

  /// Of a block with a tile of columns and one of keys.
  static std::size_t shared(int columns, int keys, bool dropout) {
    return 2 * shared_bytes<float4>(own * stride_of(dim)) +
           2 * shared_bytes<float4>(other * stride_of(dim)) +
           shared_bytes<float4>(own * stride_of(other)) + 4 * shared_bytes<int>(columns) +
           2 * shared_bytes<float>(columns) + 3 * shared_bytes<int>(keys) +
           (dropout ? shared_bytes<int>(draw_words(columns, keys)) : 0);
  }
};

struct AttentionOutputs {
  const float* log_sum_exp;  // [queries, heads]
  const float* dy;           // [queries, heads, value_dim]
  const float* mean;         // [queries, heads]
};

/// What the gradient needs of a tile's columns besides.
struct ColumnSums {
  SharedArray<float> log_sum_exp;
  SharedArray<float> mean;  // of the probabilities' gradients: dy . y
};

/// Infinite, which gives probabilities of zero, beyond `used` columns.
__device__ inline void load_sums(const AttentionInputs& in, const AttentionOutputs& out,
                                 const TileColumns& column, int count, int used,
                                 const ColumnSums& to) {
  for (int c = static_cast<int>(threadIdx.x); c < count; c += tile_threads) {
    const std::int64_t place = in.place(column.query[c], column.head[c]);
    to.log_sum_exp[c] = c < used ? out.log_sum_exp[place] : INFINITY;
    to.mean[c] = c < used ? out.mean[place] : 0;
  }
}

/// What a pair of a query head and a key has: the weight of its value, and the gradient of what the
/// soft cap reads.
struct PairGradient {
  float weight = 0;
  float dscore = 0;
};

/// product: q . k; dweight: dy . v; kept: dropout's factor.
__device__ inline PairGradient pair_gradient(const AttentionInputs& in, float product,
                                             float dweight, float kept, const TileColumns& column,
                                             const ColumnSums& sums, int c, const TileKeys& key,
                                             int k) {
  const int index = column.index[c];
  const bool visible = key.begin[k] <= index && index < key.end[k];
  const Score score = score_of(in, product, column, c, key, k);
  const float probability = visible ? expf(score.value - sums.log_sum_exp[c]) : 0;
  return {probability * kept, probability * (dweight * kept - sums.mean[c]) * score.slope};
}

/// The sums of a run of the bias' buckets: each thread adds its own pairs, in order, and the block
/// its threads.
struct BucketSums {
  float* partials = nullptr;  // [tiles, heads, count]; null: not wanted
  int first = 0, count = 0;   // of the buckets
};

/// Adds the gradients of a thread's own pairs to its sums by bucket.
template <int R, int C>
__device__ void add_to_buckets(const AttentionInputs& in, const TileThread& at,
                               const TileWeights& dscores, const TileColumns& column,
                               const TileKeys& key, const BucketSums& buckets,
                               const SharedArray<float>& by_bucket) {
  for (int i = 0; i < R * C; ++i) {
    const int c = at.y + tile_height * (i / C), k = at.x + tile_lanes * (i % C);
    const float dscore = dscores.each[c * 4 * stride_of(C * tile_lanes) + k];
    if (dscore == 0) continue;  // hidden, for instance
    const int bucket =
        in.bias.bucket[in.bias.place(key.position[k], column.position[c])] - buckets.first;
    if (bucket < 0 || bucket >= buckets.count) continue;
    by_bucket[bucket * tile_threads + static_cast<int>(threadIdx.x)] += dscore;
  }
}

}  // namespace gist::cuda
