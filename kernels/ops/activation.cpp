#include "kernels/ops/activation.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Activation& op) {
  if (!is_f32(op.x, op.x.shape) || !is_f32(op.y, op.x.shape)) {
    refuse(op.name, "x and y f32 of one shape", {{"x", op.x}, {"y", op.y}});
  }
}

void check(const ActivationBackward& op) {
  if (!is_f32(op.x, op.x.shape) || !is_f32(op.dy, op.x.shape) || !is_f32(op.dx, op.x.shape)) {
    refuse(op.name, "x, dy and dx f32 of one shape", {{"x", op.x}, {"dy", op.dy}, {"dx", op.dx}});
  }
}

OpCost cost(const Activation& op) {
  return one_call(op.y.shape.elements(), {&op.x}, {&op.y});
}

OpCost cost(const ActivationBackward& op) {
  return one_call(5 * op.dx.shape.elements(), {&op.x, &op.dy}, {&op.dx});
}

}  // namespace gist::ops
