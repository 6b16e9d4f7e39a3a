// What attention's gradient needs around its two products of tiles: the means of the probabilities'
// gradients before, and after, the gradients of slots from those of the entries that name them.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "kernels/cuda/attention_gradient_tile.h"
#include "kernels/cuda/attention_inputs.h"
#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {

constexpr int gradient_threads = 256;

/// mean[i] = dy[i] . y[i]; a warp a query head. With dropout, too: each probability's gradient has
/// the factor that its weight has.
static __global__ void __launch_bounds__(gradient_threads)
    mean_gradients(const float* dy, const float* y, std::int64_t n, int dim, float* mean) {
  const std::int64_t i = first_element() / warp_size;
  if (i >= n) return;
  float sum = 0;
  for (int d = static_cast<int>(threadIdx.x) % warp_size; d < dim; d += warp_size) {
    sum += dy[i * dim + d] * y[i * dim + d];
  }
  sum = reduce_warp<Sum>(sum);
  if (threadIdx.x % warp_size == 0) mean[i] = sum;
}

/// Of each slot of the keys: how many entries of the list name it, which is the first (list -
/// entry; 0: none), and the row that lists it.
struct SlotMarks {
  int* count;
  int* first;
  int* row;
};

__device__ inline void raise(int* to, int value) {
  int found = *to;
  while (found < value) {
    const int before = atomicCAS(to, found, value);
    if (before == found) return;
    found = before;
  }
}

/// A block a tile of keys, a thread a key. The marks must be zeros before.
static __global__ void mark_slots(AttentionInputs in, AttentionPlan plan, int tile_keys,
                                  SlotMarks marks) {
  if (static_cast<int>(blockIdx.x) >= plan.counts->key_tiles) return;
  const KeyTile tile = plan.key_tiles[blockIdx.x];
  const int k = static_cast<int>(threadIdx.x);
  const int j = tile.first + k;
  if (k >= tile_keys || j >= plan.rows[tile.row].key_end || !in.listed(j)) return;
  const int slot = in.slot[j];
  atomicAdd(marks.count + slot, 1);
  raise(marks.first + slot, static_cast<int>(in.list - j));
  marks.row[slot] = tile.row;  // no other row lists it
}

/// to[slot, width] = the sum of the gradients of its entries, in order, or zeros. A block a slot.
static __global__ void __launch_bounds__(gradient_threads)
    sum_entries(AttentionInputs in, AttentionPlan plan, SlotMarks marks, const float* entries,
                int width, float* to) {
  const int slot = static_cast<int>(blockIdx.x);
  const int count = marks.count[slot];
  const int first = static_cast<int>(in.list) - marks.first[slot];
  const int last = count > 1 ? plan.rows[marks.row[slot]].key_end : first + 1;
  for (int d = static_cast<int>(threadIdx.x); d < width; d += gradient_threads) {
    float sum = 0;
    int left = count;
    for (int j = first; j < last && left > 0; ++j) {
      if (in.slot[j] != slot) continue;
      sum += entries[static_cast<std::int64_t>(j) * width + d];
      --left;
    }
    to[static_cast<std::int64_t>(slot) * width + d] = sum;
  }
}

/// A block a bucket of the run and head.
static __global__ void __launch_bounds__(gradient_threads)
    add_bucket_sums(AttentionPlan plan, BucketSums buckets, int heads, float* dtable) {
  SharedMemory memory;
  const auto parts = memory.take<double>(warp_size);
  const int bucket = static_cast<int>(blockIdx.x), head = static_cast<int>(blockIdx.y);
  double sum = 0;
  for (int t = static_cast<int>(threadIdx.x); t < plan.counts->query_tiles; t += gradient_threads) {
    const std::int64_t place = static_cast<std::int64_t>(t) * heads + head;
    sum += static_cast<double>(buckets.partials[place * buckets.count + bucket]);
  }
  sum = reduce_block<Sum>(sum, parts);
  if (threadIdx.x == 0) {
    float& to = dtable[(buckets.first + bucket) * heads + head];
    to = static_cast<float>(static_cast<double>(to) + sum);
  }
}

}  // namespace gist::cuda
