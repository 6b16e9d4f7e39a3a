#include "kernels/ops/rms_norm.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const RmsNorm& op) {
  const Shape& shape = op.x.shape;
  if (shape.rank < 1 || !is_f32(op.x, shape) || !is_f32(op.y, shape) ||
      !is_f32(op.weight, {shape[shape.rank - 1]})) {
    refuse(op.name, "x and y f32 [.., d] and weight f32 [d]",
           {{"x", op.x}, {"weight", op.weight}, {"y", op.y}});
  }
  require_finite(op.name, "eps", op.eps, false);
  require_number(op.name, "weight_offset", op.weight_offset);
}

void check(const RmsNormBackward& op) {
  const Shape& shape = op.x.shape;
  if (shape.rank < 1 || !is_f32(op.x, shape) || !is_f32(op.dy, shape) || !is_f32(op.dx, shape) ||
      !is_f32(op.weight, {shape[shape.rank - 1]}) || !is_f32_or_none(op.dweight, op.weight.shape)) {
    refuse(op.name, "x, dy and dx f32 [.., d], weight f32 [d], dweight likewise or none",
           {{"x", op.x},
            {"weight", op.weight},
            {"dy", op.dy},
            {"dx", op.dx},
            {"dweight", op.dweight}});
  }
  require_finite(op.name, "eps", op.eps, false);
  require_number(op.name, "weight_offset", op.weight_offset);
}

OpCost cost(const RmsNorm& op) {
  return one_call(4 * op.x.shape.elements(), {&op.x, &op.weight}, {&op.y});
}

OpCost cost(const RmsNormBackward& op) {
  return one_call(10 * op.x.shape.elements(), {&op.x, &op.weight, &op.dy, &op.dweight},
                  {&op.dx, &op.dweight});
}

}  // namespace gist::ops
