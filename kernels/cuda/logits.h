// Rows of logits: how many are computed at a time, their cap, and the largest of a row.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/reduce.h"

namespace gist::cuda {

/// Logits of a chunk of rows are about this many: enough to fill the device, small beside a model.
constexpr std::int64_t chunk_values = std::int64_t{32} << 20;

inline std::int64_t chunk_rows(std::int64_t rows, std::int64_t vocabulary) {
  return std::min(rows, std::max<std::int64_t>(chunk_values / vocabulary, 1));
}

__device__ inline float capped(float x, float scale, float soft_cap) {
  return soft_cap > 0 ? soft_cap * tanhf(x * (scale / soft_cap)) : x * scale;
}

/// Logits of a chunk, [rows, vocabulary], as the matrix product left them.
struct LogitRows {
  float* logits;
  std::int64_t vocabulary;
  float scale, soft_cap;
};

/// Caps a row in place. Returns 0, or NaN where one of its logits isn't finite; all threads of the
/// block get the result.
__device__ inline float cap_row(float* x, const LogitRows& rows, SharedArray<float> parts) {
  float total = 0;
  for (std::int64_t i = threadIdx.x; i < rows.vocabulary; i += blockDim.x) {
    const float z = capped(x[i], rows.scale, rows.soft_cap);
    x[i] = z;
    total += z * 0;
  }
  return reduce_block<Sum>(total, parts);
}

/// A row's largest value, and where it first stands. A row of NaN has neither: place 0.
struct Largest {
  float value;
  int place;
};

__device__ inline Largest larger(Largest a, Largest b) {
  if (a.value > b.value) return a;
  if (b.value > a.value) return b;
  return a.place < b.place ? a : b;
}

/// Over the block; `values` and `places` have 32 elements.
__device__ inline Largest largest_of_block(Largest own, SharedArray<float> values,
                                           SharedArray<int> places) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    const float value = __shfl_xor_sync(whole_warp, own.value, distance);
    const int place = __shfl_xor_sync(whole_warp, own.place, distance);
    own = larger(own, {value, place});
  }
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  __syncthreads();
  if (threadIdx.x % warp_size == 0) {
    values[warp] = own.value;
    places[warp] = own.place;
  }
  __syncthreads();
  own = {values[0], places[0]};
  for (int i = 1; i < static_cast<int>(blockDim.x) / warp_size; ++i) {
    own = larger(own, {values[i], places[i]});
  }
  return own;
}

}  // namespace gist::cuda
