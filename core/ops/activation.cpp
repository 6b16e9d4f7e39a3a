#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor activation(Pass& pass, Activation activation, const Tensor& x) {
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().activation(activation, x, y);
  if (pass.tape() != nullptr) {
    pass.tape()->record([activation, x, y](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().activation_backward(activation, x, dy, dx);
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
