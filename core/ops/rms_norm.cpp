#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor rms_norm(Pass& pass, const Tensor& x, int weight, float eps) {
  const Weight& w = pass.model().weight(weight, pass.layer());
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().rms_norm(x, w.tensor, eps, y);
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, eps, value = w.tensor, dw = w.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().rms_norm_backward(x, value, eps, dy, dx, dw);
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
