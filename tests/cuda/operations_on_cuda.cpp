#include "kernels/cuda/cuda_backend.h"
#include "tests/kernels/device_arrays.h"

namespace gist::test {

std::unique_ptr<Backend> backend_under_test(Dtype dtype, int /*threads*/) {
  return make_cuda_backend({.dtype = dtype});
}

}  // namespace gist::test
