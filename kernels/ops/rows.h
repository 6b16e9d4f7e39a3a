#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[i] = x[rows[i]], for rows (outermost dimension) of any dtype.
struct GatherRows {
  static constexpr const char* name = "gather_rows";
  Tensor x;
  Tensor rows;  // i32 [m]
  Tensor y;
};

/// y[rows[i]] = x[i].
struct ScatterRows {
  static constexpr const char* name = "scatter_rows";
  Tensor x;
  Tensor rows;  // i32 [m]; no row twice
  Tensor y;
};

void check(const GatherRows& op);
void check(const ScatterRows& op);
OpCost cost(const GatherRows& op);
OpCost cost(const ScatterRows& op);

}  // namespace gist::ops
