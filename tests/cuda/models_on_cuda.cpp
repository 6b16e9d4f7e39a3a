#include "kernels/cuda/cuda_backend.h"
#include "tests/core/test_backend.h"

namespace gist {

std::unique_ptr<Backend> test_backend(const CpuOptions& options) {
  return make_cuda_backend({.dtype = options.dtype});
}

}  // namespace gist
