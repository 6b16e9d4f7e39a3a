#include "kernels/ops/layer_norm.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {
void check(const LayerNorm& op) {
  const Shape& shape = op.x.shape;
  if (shape.rank < 1 || !is_f32(op.x, shape) || !is_f32(op.y, shape) ||
      !is_f32_or_none(op.weight, {shape[shape.rank - 1]}) ||
      !is_f32_or_none(op.bias, {shape[shape.rank - 1]})) {
    refuse(op.name, "x and y f32 [.., d], weight and bias f32 [d] or none",
           {{"x", op.x}, {"weight", op.weight}, {"bias", op.bias}, {"y", op.y}});
  }
  require_finite(op.name, "eps", op.eps, false);
}

void check(const LayerNormBackward& op) {
  const Shape& shape = op.x.shape;
  if (shape.rank < 1 || !is_f32(op.x, shape) || !is_f32(op.dy, shape) || !is_f32(op.dx, shape) ||
      !is_f32_or_none(op.weight, {shape[shape.rank - 1]}) ||
      (op.weight.data == nullptr && op.dweight.data != nullptr) ||
      !is_f32_or_none(op.dweight, {shape[shape.rank - 1]}) ||
      !is_f32_or_none(op.dbias, {shape[shape.rank - 1]})) {
    refuse(op.name, "x, dy and dx f32 [.., d], weight with dweight and dbias f32 [d] or none",
           {{"x", op.x},
            {"weight", op.weight},
            {"dy", op.dy},
            {"dx", op.dx},
            {"dweight", op.dweight},
            {"dbias", op.dbias}});
  }
  require_finite(op.name, "eps", op.eps, false);
}

OpCost cost(const LayerNorm& op) {
  return one_call(8 * op.x.shape.elements(), {&op.x, &op.weight, &op.bias}, {&op.y});
}

OpCost cost(const LayerNormBackward& op) {
  return one_call(16 * op.x.shape.elements(), {&op.x, &op.weight, &op.dy, &op.dweight, &op.dbias},
                  {&op.dx, &op.dweight, &op.dbias});
}

}  // namespace gist::ops
