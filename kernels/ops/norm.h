#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[1] = the square root of the sum of x's squares.
struct Norm {
  static constexpr const char* name = "norm";
  Tensor x;
  Tensor y;
};

void check(const Norm& op);
OpCost cost(const Norm& op);

}  // namespace gist::ops
