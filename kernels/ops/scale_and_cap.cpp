#include "kernels/ops/scale_and_cap.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const ScaleAndCap& op) {
  if (!is_f32(op.x, op.x.shape) || !is_f32(op.y, op.x.shape)) {
    refuse(op.name, "x and y f32 of one shape", {{"x", op.x}, {"y", op.y}});
  }
  require_number(op.name, "scale", op.scale);
  require_finite(op.name, "soft_cap", op.soft_cap, false);
}

OpCost cost(const ScaleAndCap& op) {
  return one_call((op.soft_cap > 0 ? 3 : 1) * op.x.shape.elements(), {&op.x}, {&op.y});
}

}  // namespace gist::ops
