#include "kernels/ops/rotate.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Rotation& op) {
  const Shape &positions = op.positions.shape, &inv_freq = op.inv_freq.shape;
  if (positions.rank != 1 || inv_freq.rank != 1 || !is_i32(op.positions, positions) ||
      !is_f32(op.inv_freq, inv_freq) || !is_f32(op.rotation, {positions[0], 2, inv_freq[0]})) {
    refuse(op.name, "positions i32 [m], inv_freq f32 [pairs] and rotation f32 [m, 2, pairs]",
           {{"positions", op.positions}, {"inv_freq", op.inv_freq}, {"rotation", op.rotation}});
  }
  require_number(op.name, "scale", op.scale);
}

void check(const Rotate& op) {
  const Shape &x = op.x.shape, &rotation = op.rotation.shape;
  if (x.rank != 3 || !is_f32(op.x, x) || !is_f32(op.y, x) || rotation.rank != 3 ||
      !is_f32(op.rotation, {x[0], 2, rotation[2]}) || 2 * rotation[2] > x[2]) {
    refuse(op.name, "x and y f32 [m, heads, dim] and rotation f32 [m, 2, pairs], 2 pairs <= dim",
           {{"x", op.x}, {"rotation", op.rotation}, {"y", op.y}});
  }
}

OpCost cost(const Rotation& op) {
  return one_call(2 * op.rotation.shape.elements(), {&op.positions, &op.inv_freq}, {&op.rotation});
}

OpCost cost(const Rotate& op) {
  const std::int64_t rotated = op.x.shape[0] * op.x.shape[1] * 2 * op.rotation.shape[2];
  return one_call(3 * rotated, {&op.x, &op.rotation}, {&op.y});
}

}  // namespace gist::ops
