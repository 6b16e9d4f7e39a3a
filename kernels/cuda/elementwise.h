// Kernels over the elements of arrays: each thread takes every (threads of the grid)th of them.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

#include "kernels/cuda/launch.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {

constexpr int elementwise_threads = 256;

/// A grid for `count` elements: enough blocks to fill the device a few times over, not more.
inline Grid elementwise_grid(const Device& device, std::int64_t count) {
  const std::int64_t blocks = (count + elementwise_threads - 1) / elementwise_threads;
  const std::int64_t most = std::int64_t{16} * device.limits().multiprocessors;
  return {dim3(static_cast<unsigned>(std::clamp<std::int64_t>(blocks, 1, most))),
          dim3(elementwise_threads)};
}

/// A grid for `rows` rows, each of which a block reduces in one array of reduce_block's parts.
inline Grid a_block_a_row(std::int64_t rows) {
  return {dim3(static_cast<unsigned>(rows)), dim3(elementwise_threads),
          shared_bytes<float>(warp_size)};
}

/// The elements of one thread: for (std::int64_t i = first_element(); i < n; i += element_step())
__device__ inline std::int64_t first_element() {
  return static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ inline std::int64_t element_step() {
  return static_cast<std::int64_t>(gridDim.x) * blockDim.x;
}

template <typename T>
T* data_of(const Tensor& tensor) {
  return static_cast<T*>(tensor.data);
}

}  // namespace gist::cuda
