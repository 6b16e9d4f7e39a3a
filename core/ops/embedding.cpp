#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {
namespace {

/// Rows `ids` (i32 [n]) of a table.
Tensor rows_of_table(Pass& pass, int table, const Tensor& ids) {
  const Weight& weight = pass.model().weight(table, pass.layer());
  const Tensor y = pass.layer_memory().allocate({pass.tokens(), weight.tensor.shape[1]});
  pass.backend().run(ops::Embedding{.table = weight.tensor, .ids = ids, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([ids, y, gradient = weight.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      gradients.backend().run(ops::EmbeddingBackward{.ids = ids, .dy = dy, .dtable = gradient});
    });
  }
  return y;
}

}  // namespace

Tensor embedding(Pass& pass, int table) {
  return rows_of_table(pass, table, pass.ids());
}

Tensor position_embedding(Pass& pass, int table) {
  return rows_of_table(pass, table, pass.positions());
}

}  // namespace gist
