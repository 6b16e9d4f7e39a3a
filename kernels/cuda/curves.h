// Activations and their slopes (kernels/ops/activation.h).
#pragma once

#include <cuda_runtime.h>

namespace gist::cuda {

struct Curve {
  float value, slope;
};

/// x s with s = sigmoid(x); the slope is s (1 + x (1 - s)), with 1 - s free of cancellation.
struct Silu {
  __device__ static Curve at(float x) {
    const float exponential = expf(fminf(-x, 88.0F));
    const float s = 1 / (1 + exponential);
    return {x * s, s * (1 + x * (exponential * s))};
  }
};

struct Relu {
  __device__ static Curve at(float x) {
    return {x < 0 ? 0.0F : x, x > 0 ? 1.0F : 0.0F};  // NaN stays
  }
};

/// As 0.5 (1 + tanh(u)) = sigmoid(2 u), this is x s with s = sigmoid(2 u): exact where tanh comes
/// close to -1, too. Beyond 10, s is 0 or 1 in f32, so that the cube never overflows.
struct GeluNew {
  __device__ static Curve at(float x) {
    constexpr float linear = 1.5957691216F;  // 2 sqrt(2 / pi)
    constexpr float cubic = linear * 0.044715F;
    const float near = x != x ? x : fminf(fmaxf(x, -10.0F), 10.0F);
    const float square = near * near;
    const float exponential = expf(fminf(-near * (cubic * square + linear), 88.0F));
    const float s = 1 / (1 + exponential);
    const float part = near * (3 * cubic * square + linear);
    return {x * s, s * (1 + part * (exponential * s))};
  }
};

}  // namespace gist::cuda
