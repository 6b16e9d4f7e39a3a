#include "kernels/ops/dropout.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Dropout& op) {
  if (!is_f32(op.x, op.x.shape) || !is_f32(op.y, op.x.shape)) {
    refuse(op.name, "x and y f32 of one shape", {{"x", op.x}, {"y", op.y}});
  }
  require_probability(op.name, op.dropout);
}

OpCost cost(const Dropout& op) {
  return one_call(op.y.shape.elements(), {&op.x}, {&op.y});
}

}  // namespace gist::ops
