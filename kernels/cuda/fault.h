// How kernels say that an index of their input is wrong.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/device.h"

namespace gist::cuda {

/// A check of indices within a kernel. `what` is a text of the host's that stays.
struct IndexCheck {
  IndexCheck(const Device& device, const char* what_, std::int64_t limit_)
      : fault(device.fault()),
        what(reinterpret_cast<unsigned long long>(what_)),
        limit(static_cast<int>(limit_)) {}

  /// Whether index `i`, which is `value`, is within [0, limit); if not, it is reported.
  __device__ bool passes(int i, int value) const {
    if (value >= 0 && value < limit) return true;
    if (atomicCAS(&fault->what, 0ULL, what) == 0ULL) {
      fault->index = i;
      fault->value = value;
      fault->limit = limit;
      __threadfence_system();
    }
    return false;
  }

  Fault* fault;
  unsigned long long what;
  int limit;
};

}  // namespace gist::cuda
