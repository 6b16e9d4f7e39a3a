#include "kernels/error.h"
#include "tests/kernels/device_arrays.h"

namespace gist::test {

std::unique_ptr<Backend> backend_under_test(Dtype dtype, int threads) {
  try {
    return make_cpu_backend({.threads = threads, .dtype = dtype});
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::unavailable) throw;
    return nullptr;
  }
}

}  // namespace gist::test
