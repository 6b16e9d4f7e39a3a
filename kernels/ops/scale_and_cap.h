#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y = soft_cap * tanh(scale x / soft_cap), or scale x where soft_cap is 0.
struct ScaleAndCap {
  static constexpr const char* name = "scale_and_cap";
  Tensor x;
  float scale = 1;
  float soft_cap = 0;
  Tensor y;
};

void check(const ScaleAndCap& op);
OpCost cost(const ScaleAndCap& op);

}  // namespace gist::ops
