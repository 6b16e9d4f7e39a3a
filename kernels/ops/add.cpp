#include "kernels/ops/add.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Add& op) {
  if (!is_f32(op.a, op.a.shape) || !is_f32(op.b, op.a.shape) || !is_f32(op.y, op.a.shape)) {
    refuse(op.name, "a, b and y f32 of one shape", {{"a", op.a}, {"b", op.b}, {"y", op.y}});
  }
}

OpCost cost(const Add& op) {
  return one_call(op.y.shape.elements(), {&op.a, &op.b}, {&op.y});
}

}  // namespace gist::ops
