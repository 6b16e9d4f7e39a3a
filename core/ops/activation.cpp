#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor activation(Pass& pass, Activation activation, const Tensor& x) {
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().run(ops::Activation{.activation = activation, .x = x, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([activation, x, y](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().run(
          ops::ActivationBackward{.activation = activation, .x = x, .dy = dy, .dx = dx});
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
