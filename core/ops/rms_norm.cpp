#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor rms_norm(Pass& pass, const Tensor& x, int weight, float eps, float weight_offset) {
  const Weight& w = pass.model().weight(weight, pass.layer());
  const Tensor y = pass.layer_memory().allocate(x.shape);
  const std::int64_t width = w.tensor.shape[0];
  const Shape groups{x.shape.elements() / width, width};
  pass.backend().run(ops::RmsNorm{.x = x.reshaped(groups),
                                  .weight = w.tensor,
                                  .weight_offset = weight_offset,
                                  .eps = eps,
                                  .y = y.reshaped(groups)});
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, eps, weight_offset, groups, value = w.tensor,
                         dw = w.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dx = gradients.allocate(x.shape);
      gradients.backend().run(ops::RmsNormBackward{.x = x.reshaped(groups),
                                                   .weight = value,
                                                   .weight_offset = weight_offset,
                                                   .eps = eps,
                                                   .dy = dy.reshaped(groups),
                                                   .dx = dx.reshaped(groups),
                                                   .dweight = dw});
      gradients.give(x, dx);
    });
  }
  return y;
}

}  // namespace gist
