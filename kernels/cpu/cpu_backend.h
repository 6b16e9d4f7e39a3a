// The CPU: oneDNN for matrix products, Highway for SIMD, threads of its own. The oracle for the
// other backends.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace gist {

struct CpuOptions {
  int threads = 0;           // 0: as many as the process may use
  Dtype dtype = Dtype::f32;  // of packed weights and of the products' inputs: f32 or bf16;
                             // sums, activations, norms and softmax are f32 in both
};

/// Throws Error(unavailable) where the processor can't compute in the dtype.
std::unique_ptr<Backend> make_cpu_backend(const CpuOptions& options = {});

}  // namespace gist
