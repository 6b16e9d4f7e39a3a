// kernels/cuda/launch.h for the emulation: the kernel runs on the host.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <functional>
#include <type_traits>

#include "kernels/cuda/device.h"
#include "tests/cuda/emulation/stream.h"

namespace gist::cuda {

struct Grid {
  dim3 blocks;
  dim3 threads;
  std::size_t shared_bytes = 0;
};

}  // namespace gist::cuda

namespace gist::emulation {

/// Runs all blocks of a kernel, several at a time. Throws Error(internal) for what the emulation
/// finds wrong: which kernel, block, thread and line, and what.
void run(const std::function<void()>& kernel, const cuda::Grid& grid, const char* name);

}  // namespace gist::emulation

namespace gist::cuda {

template <typename... Parameters>
void launch(Device& device, const Grid& grid, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  device.stream()->queue([=, name = device.operation()] {
    emulation::run([=] { kernel(arguments...); }, grid, name);
  });
  device.check_launch();
}

}  // namespace gist::cuda
