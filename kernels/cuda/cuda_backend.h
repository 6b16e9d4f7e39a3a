// The backend of one CUDA device.
#pragma once

#include <memory>

#include "kernels/backend.h"

namespace gist {

struct CudaOptions {
  int device = 0;
  Dtype dtype = Dtype::f32;  // of weights and of the inputs of products: f32 or bf16
  bool allow_tf32 = false;   // products of f32 may round their inputs to TF32
};

/// Throws Error(unavailable) where the device can't be used, Error(usage) for another dtype.
std::unique_ptr<Backend> make_cuda_backend(const CudaOptions& options = {});

}  // namespace gist
