#include "core/adapter.h"
#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {
namespace {

/// Rows `ids` (i32 [n]) of a table.
Tensor rows_of_table(Pass& pass, int table, const Tensor& ids) {
  const Weight& weight = pass.model().weight(table, pass.layer());
  const Tensor y = pass.layer_memory().allocate({pass.tokens(), weight.tensor.shape[1]});
  pass.backend().run(ops::Embedding{.table = weight.tensor, .ids = ids, .y = y});
  if (pass.tape() != nullptr && weight.gradient.data != nullptr) {
    pass.tape()->record([ids, y, gradient = weight.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      gradients.backend().run(ops::EmbeddingBackward{.ids = ids, .dy = dy, .dtable = gradient});
    });
  }
  return y;
}

/// The adapter's rows, in place of the gist tokens'.
void set_gist_rows(Pass& pass, const Tensor& y) {
  const auto& [adapter, tokens, rows] = pass.adapted();
  if (adapter == nullptr) return;
  const Weight& table = adapter->gist_rows();
  const Tensor own = pass.layer_memory().allocate({tokens.shape[0], y.shape[1]});
  pass.backend().run(ops::Embedding{.table = table.tensor, .ids = rows, .y = own});
  pass.backend().run(ops::ScatterRows{.x = own, .rows = tokens, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([y, own, tokens = tokens, rows = rows,
                         gradient = table.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor down = gradients.allocate(own.shape);
      gradients.backend().run(ops::GatherRows{.x = dy, .rows = tokens, .y = down});
      gradients.backend().run(ops::EmbeddingBackward{.ids = rows, .dy = down, .dtable = gradient});
    });
  }
}

}  // namespace

Tensor embedding(Pass& pass, int table) {
  const Tensor y = rows_of_table(pass, table, pass.ids());
  set_gist_rows(pass, y);
  return y;
}

Tensor position_embedding(Pass& pass, int table) {
  return rows_of_table(pass, table, pass.positions());
}

}  // namespace gist
