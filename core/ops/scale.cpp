#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor scale(Pass& pass, const Tensor& x, float factor) {
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().run(ops::ScaleAndCap{.x = x, .scale = factor, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, factor](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().run(ops::ScaleAndCap{.x = dy, .scale = factor, .y = dx});
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
