#include "kernels/ops/embedding.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Embedding& op) {
  const Tensor &table = op.table, &ids = op.ids;
  if (!present(table) || table.shape.rank != 2 || !is_float(table.dtype) || ids.shape.rank != 1 ||
      !is_i32(ids, {ids.shape[0]}) || !is_f32(op.y, {ids.shape[0], table.shape[1]})) {
    refuse(op.name, "table [v, d] of a float dtype, ids i32 [m] and y f32 [m, d]",
           {{"table", table}, {"ids", ids}, {"y", op.y}});
  }
}

void check(const EmbeddingBackward& op) {
  const Tensor &ids = op.ids, &dtable = op.dtable;
  if (ids.shape.rank != 1 || dtable.shape.rank != 2 || !is_i32(ids, ids.shape) ||
      !is_f32(dtable, dtable.shape) || !is_f32(op.dy, {ids.shape[0], dtable.shape[1]})) {
    refuse(op.name, "ids i32 [m], dy f32 [m, d] and dtable f32 [v, d]",
           {{"ids", ids}, {"dy", op.dy}, {"dtable", dtable}});
  }
}

OpCost cost(const Embedding& op) {
  const auto rows = op.y.shape.elements() * static_cast<std::int64_t>(size_of(op.table.dtype));
  return one_call(0, {&op.ids}, {&op.y}, rows);
}

OpCost cost(const EmbeddingBackward& op) {
  return one_call(op.dy.shape.elements(), {&op.ids, &op.dy, &op.dy}, {&op.dy});
}

}  // namespace gist::ops
