#include "kernels/ops/rows.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const GatherRows& op) {
  if (!present(op.x) || !present(op.y) || !same_row(op.x, op.y) ||
      !is_i32(op.rows, {op.y.shape[0]})) {
    refuse(op.name, "rows i32 [m], y [m, ..] and x [r, ..] with rows of one dtype and shape",
           {{"x", op.x}, {"rows", op.rows}, {"y", op.y}});
  }
}

void check(const ScatterRows& op) {
  if (!present(op.x) || !present(op.y) || !same_row(op.x, op.y) ||
      !is_i32(op.rows, {op.x.shape[0]})) {
    refuse(op.name, "rows i32 [m], x [m, ..] and y [r, ..] with rows of one dtype and shape",
           {{"x", op.x}, {"rows", op.rows}, {"y", op.y}});
  }
}

OpCost cost(const GatherRows& op) {
  return one_call(0, {&op.y, &op.rows}, {&op.y});
}

OpCost cost(const ScatterRows& op) {
  return one_call(0, {&op.x, &op.rows}, {&op.x});
}

}  // namespace gist::ops
