#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor layer_norm(Pass& pass, const Tensor& x, int weight, int bias, float eps) {
  static const Weight none;
  const auto given = [&](int index) -> const Weight& {
    return index < 0 ? none : pass.model().weight(index, pass.layer());
  };
  const Weight& w = given(weight);
  const Weight& b = given(bias);
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().run(
      ops::LayerNorm{.x = x, .weight = w.tensor, .bias = b.tensor, .eps = eps, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record(
        [x, y, eps, value = w.tensor, dw = w.gradient, db = b.gradient](Gradients& gradients) {
          const Tensor dy = gradients.of(y);
          if (dy.data == nullptr) return;
          const Tensor dx = gradients.allocate(x.shape);
          gradients.backend().run(ops::LayerNormBackward{
              .x = x, .weight = value, .eps = eps, .dy = dy, .dx = dx, .dweight = dw, .dbias = db});
          gradients.give(x, dx);
        });
  }
  return y;
}

}  // namespace gist
