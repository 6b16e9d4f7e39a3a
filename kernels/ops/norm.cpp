#include "kernels/ops/norm.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Norm& op) {
  if (!is_f32(op.x, op.x.shape) || !is_f32(op.y, {1})) {
    refuse(op.name, "x f32 and y f32 [1]", {{"x", op.x}, {"y", op.y}});
  }
}

OpCost cost(const Norm& op) {
  return one_call(2 * op.x.shape.elements(), {&op.x}, {&op.y});
}

}  // namespace gist::ops
