// A pair of tiles in attention's gradient: columns (attention_plan.h) and keys. What is the same
// whatever dtype the products are computed in.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "kernels/cuda/attention_scores.h"

namespace gist::cuda {

/// A block's own tile stays; the other side's tiles come one after the other.
template <int dim>
struct GradientTile {
  static constexpr int own = dim <= 128 ? 64 : 32;
  static constexpr int other = dim <= 64 ? 64 : 32;
};

struct AttentionOutputs {
  const float* log_sum_exp;  // [queries, heads]
  const float* dy;           // [queries, heads, value_dim]
  const float* mean;         // [queries, heads]
};

/// The gradient needs these of a tile's columns besides.
struct ColumnSums {
  SharedArray<float> log_sum_exp;
  SharedArray<float> mean;  // of the probabilities' gradients: dy . y

  __device__ ColumnSums from(int c) const { return {log_sum_exp.from(c), mean.from(c)}; }
};

__device__ inline ColumnSums take_sums(TileMemory& memory, int count) {
  return {memory.take<float>(count), memory.take<float>(count)};
}

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

/// A pair of a query head and a key has these: the weight of its value, and the gradient of what
/// the soft cap reads.
struct PairGradient {
  float weight = 0;
  float dscore = 0;
};

struct ExactExp {
  static __device__ float of(float x) { return expf(x); }
};
/// To about 2^-20 for probabilities that matter, in two instructions.
struct FastExp {
  static __device__ float of(float x) { return __expf(x); }
};

/// product: q . k; dweight: dy . v; kept: dropout's factor. `plain`, `masked`: as in
/// with_kind_of_scores.
template <typename Exp, bool plain = false, bool masked = true>
__device__ PairGradient pair_gradient(const AttentionInputs& in, float product, float dweight,
                                      float kept, const TileColumns& column, const ColumnSums& sums,
                                      int c, const TileKeys& key, int k) {
  bool visible = true;
  if constexpr (masked) {
    const int index = column.index[c];
    visible = key.begin[k] <= index && index < key.end[k];
  }
  Score score{product * in.scale, 1};
  if constexpr (!plain) score = score_of(in, product, column, c, key, k);
  const float probability = visible ? Exp::of(score.value - sums.log_sum_exp[c]) : 0;
  return {probability * kept, probability * (dweight * kept - sums.mean[c]) * score.slope};
}

/// The columns of a row, with `group` heads each query, of which any may see one of a tile's keys.
struct ColumnRange {
  int first, end;
};
__device__ inline ColumnRange columns_that_see(const TileKeys& key, int count,
                                               const AttentionRow& row, int group) {
  int min_begin = INT32_MAX, max_end = INT32_MIN;
  for (int k = 0; k < count; ++k) {
    const int begin = key.begin[k], end = key.end[k];
    if (begin >= end) continue;
    min_begin = min(min_begin, begin);
    max_end = max(max_end, end);
  }
  const auto column_of = [&](int index) {
    const int queries = row.query_end - row.query_begin;
    const int clamped = min(max(index, row.query_index), row.query_index + queries);
    return (clamped - row.query_index) * group;
  };
  return {column_of(min_begin), column_of(max_end)};
}

/// The sums of a run of the bias' buckets: each thread adds its own pairs, in order, and the block
/// its threads.
struct BucketSums {
  float* partials = nullptr;  // [tiles, heads, count]; null: not wanted
  int first = 0, count = 0;   // of the buckets
};
constexpr int buckets_a_pass = 32;

/// [buckets, threads], zeros of the thread's own.
__device__ inline SharedArray<float> take_buckets(TileMemory& memory, const BucketSums& buckets) {
  const auto by_bucket = memory.take<float>(buckets.count * tile_threads);
  for (int b = 0; b < buckets.count; ++b) {
    by_bucket[b * tile_threads + static_cast<int>(threadIdx.x)] = 0;
  }
  return by_bucket;
}

/// Adds the gradient of a pair to its thread's sums.
__device__ inline void add_to_bucket(const AttentionInputs& in, float dscore,
                                     const TileColumns& column, int c, const TileKeys& key, int k,
                                     const BucketSums& buckets,
                                     const SharedArray<float>& by_bucket) {
  if (dscore == 0) return;  // hidden, for instance
  const int bucket =
      in.bias.bucket[in.bias.place(key.position[k], column.position[c])] - buckets.first;
  if (bucket < 0 || bucket >= buckets.count) return;
  by_bucket[bucket * tile_threads + static_cast<int>(threadIdx.x)] += dscore;
}

/// Those of the block's tile of columns and head. All threads must have come to the end of their
/// own.
__device__ inline void store_buckets(const AttentionInputs& in, int head, const BucketSums& buckets,
                                     const SharedArray<float>& by_bucket) {
  const std::int64_t place = static_cast<std::int64_t>(blockIdx.x) * in.heads + head;
  for (int b = static_cast<int>(threadIdx.x); b < buckets.count; b += tile_threads) {
    float sum = 0;
    for (int i = 0; i < tile_threads; ++i) sum += by_bucket[b * tile_threads + i];
    buckets.partials[place * buckets.count + b] = sum;
  }
}

}  // namespace gist::cuda
