#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {
namespace {

Tensor scaled(Backend& backend, const Tensor& x, float factor, const Tensor& y) {
  backend.copy(x, y);
  backend.run(ops::ScaleAndCap{.x = y, .scale = factor, .soft_cap = 0});
  return y;
}

}  // namespace

Tensor scale(Pass& pass, const Tensor& x, float factor) {
  const Tensor y = scaled(pass.backend(), x, factor, pass.layer_memory().allocate(x.shape));
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, factor](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      gradients.give(x, scaled(gradients.backend(), dy, factor, gradients.allocate(x.shape)));
    });
  }
  return y;
}

}  // namespace gist
