#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor add(Pass& pass, const Tensor& a, const Tensor& b) {
  const Tensor y = pass.layer_memory().allocate(a.shape);
  pass.backend().run(ops::Add{.a = a, .b = b, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([a, b, y](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      gradients.share(a, dy);
      gradients.share(b, dy);
    });
  }
  return y;
}

}  // namespace gist
