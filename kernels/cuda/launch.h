// How a kernel is started.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "kernels/cuda/device.h"

namespace gist::cuda {

struct Grid {
  dim3 blocks;
  dim3 threads;
  std::size_t shared_bytes = 0;  // dynamic shared memory a block
};

/// Queues a kernel on the device's stream. Throws Error(unavailable) where it can't be started.
template <typename... Parameters>
void launch(Device& device, const Grid& grid, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  constexpr std::size_t without_asking = 48 << 10;
  if (grid.shared_bytes > without_asking) {
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                         static_cast<int>(grid.shared_bytes));
  }
  kernel<<<grid.blocks, grid.threads, grid.shared_bytes, device.stream()>>>(arguments...);
  device.check_launch();
}

}  // namespace gist::cuda
