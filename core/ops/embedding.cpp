#include "core/ops/ops.h"

namespace gist {

Tensor embedding(Pass& pass, int table) {
  const Tensor& rows = pass.model().weight(table, pass.layer()).tensor;
  const Tensor y = pass.layer_memory().allocate({pass.tokens(), rows.shape[1]});
  pass.backend().embedding(rows, pass.ids(), y);
  return y;
}

}  // namespace gist
