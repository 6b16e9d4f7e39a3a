#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor columns(Pass& pass, const Tensor& x, const ColumnBlocks& blocks) {
  const Tensor y = pass.layer_memory().allocate({x.shape[0], blocks.total_width()});
  pass.backend().run(ops::Columns{.x = x, .blocks = blocks, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, blocks](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const auto [dx, accumulate] = gradients.target(x);
      gradients.backend().run(
          ops::ColumnsBackward{.dy = dy, .blocks = blocks, .accumulate = accumulate, .dx = dx});
    });
  }
  return y;
}

}  // namespace gist
