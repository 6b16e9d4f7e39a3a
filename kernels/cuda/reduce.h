// Sums and maxima over a warp and over a block, always added in the same order.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/shared_memory.h"

namespace gist::cuda {

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xFFFFFFFFu;

struct Sum {
  template <typename T>
  __device__ static T of(T a, T b) {
    return a + b;
  }
};
struct Max {
  template <typename T>
  __device__ static T of(T a, T b) {
    return a < b ? b : a;
  }
};

/// `value` over the 32 threads of a warp, of which all must call; all get the result.
template <typename Operation, typename T>
__device__ T reduce_warp(T value) {
  for (int distance = warp_size / 2; distance > 0; distance /= 2) {
    value = Operation::of(value, __shfl_xor_sync(whole_warp, value, distance));
  }
  return value;
}

/// `value` over the blockDim.x threads of a block (a multiple of 32, one-dimensional), of which all
/// must call; all get the result. `parts`: 32 elements that nothing else uses.
template <typename Operation, typename T>
__device__ T reduce_block(T value, SharedArray<T> parts) {
  const int lane = static_cast<int>(threadIdx.x) % warp_size;
  const int warp = static_cast<int>(threadIdx.x) / warp_size;
  const int warps = static_cast<int>(blockDim.x) / warp_size;
  value = reduce_warp<Operation>(value);
  __syncthreads();  // the parts may still be read by those before
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = parts[0];
  for (int i = 1; i < warps; ++i) value = Operation::of(value, static_cast<T>(parts[i]));
  return value;
}

}  // namespace gist::cuda
