#include "kernels/ops/mix_rows.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const MixRows& op) {
  const Shape& places = op.places.shape;
  const std::int64_t d = op.x.shape[1];
  if (op.x.shape.rank != 2 || places.rank != 2 || !is_f32(op.x, op.x.shape) ||
      !is_i32(op.places, places) || !is_f32(op.y, {places[0], d}) ||
      (op.weights.data != nullptr && !is_f32(op.weights, places))) {
    refuse(op.name, "x f32 [m, d], places i32 [n, k], weights f32 [n, k] and y f32 [n, d]",
           {{"x", op.x}, {"places", op.places}, {"weights", op.weights}, {"y", op.y}});
  }
}

void check(const MixRowsBackward& op) {
  const Shape& places = op.places.shape;
  const std::int64_t d = op.dy.shape[1];
  if (places.rank != 2 || op.dy.shape.rank != 2 || !is_i32(op.places, places) ||
      !is_f32(op.x, {places.elements(), d}) || !is_f32(op.weights, places) ||
      !is_f32(op.dy, {places[0], d}) || !is_f32(op.dx, op.x.shape) ||
      !is_f32(op.dweights, places)) {
    refuse(
        op.name,
        "x and dx f32 [n k, d], places i32 [n, k], weights and dweights f32 [n, k] and dy f32 [n, "
        "d]",
        {{"x", op.x},
         {"places", op.places},
         {"weights", op.weights},
         {"dy", op.dy},
         {"dx", op.dx},
         {"dweights", op.dweights}});
  }
}

OpCost cost(const MixRows& op) {
  const std::int64_t read = op.places.shape.elements() * op.y.shape[1];
  const bool weighted = op.weights.data != nullptr;
  return one_call((weighted ? 2 : 1) * read, {&op.places, &op.weights}, {&op.y},
                  read * static_cast<std::int64_t>(sizeof(float)));
}

OpCost cost(const MixRowsBackward& op) {
  return one_call(3 * op.x.shape.elements(), {&op.x, &op.places, &op.weights, &op.dy},
                  {&op.dx, &op.dweights});
}

}  // namespace gist::ops
