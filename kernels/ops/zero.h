#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// x = 0, of any dtype.
struct Zero {
  static constexpr const char* name = "zero";
  Tensor x;
};

void check(const Zero& op);
OpCost cost(const Zero& op);

}  // namespace gist::ops
