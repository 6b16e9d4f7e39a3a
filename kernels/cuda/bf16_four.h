// Four neighbours of an array in bf16, as they are rounded and written at once.
#pragma once

#include <cuda_runtime.h>

#include "kernels/cuda/tensor_core.h"

namespace gist::cuda {

struct alignas(8) Bf16Four {
  unsigned low, high;
};
__device__ inline Bf16Four to_bf16(const float4& x) {
  return {pack_bf16(x.x, x.y), pack_bf16(x.z, x.w)};
}

}  // namespace gist::cuda
