#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y = a + b.
struct Add {
  static constexpr const char* name = "add";
  Tensor a;
  Tensor b;
  Tensor y;
};

void check(const Add& op);
OpCost cost(const Add& op);

}  // namespace gist::ops
