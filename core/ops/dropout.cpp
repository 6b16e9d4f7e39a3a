#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor dropout(Pass& pass, const Tensor& x, float probability) {
  const Dropout drawn = pass.next_dropout(probability);
  if (drawn.probability == 0) return x;
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().run(ops::Dropout{.x = x, .dropout = drawn, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([drawn, x, y](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().run(ops::Dropout{.x = dy, .dropout = drawn, .y = dx});
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
