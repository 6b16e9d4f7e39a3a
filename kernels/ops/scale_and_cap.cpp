#include "kernels/ops/scale_and_cap.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const ScaleAndCap& op) {
  if (!is_f32(op.x, op.x.shape)) refuse(op.name, "x f32", {{"x", op.x}});
  require_finite_scale(op.name, op.scale);
  require_finite(op.name, "soft_cap", op.soft_cap, false);
}

OpCost cost(const ScaleAndCap& op) {
  return one_call((op.soft_cap > 0 ? 3 : 1) * op.x.shape.elements(), {&op.x}, {&op.x});
}

}  // namespace gist::ops
