#include "tests/core/test_backend.h"

namespace gist {

std::unique_ptr<Backend> test_backend(const CpuOptions& options) {
  return make_cpu_backend(options);
}

}  // namespace gist
