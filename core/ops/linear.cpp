#include "core/ops/low_rank.h"
#include "core/ops/ops.h"
#include "core/tape.h"
#include "kernels/error.h"

namespace gist {

Tensor linear(Pass& pass, const Tensor& x, int weight, int bias) {
  const Weight& w = pass.model().weight(weight, pass.layer());
  if (!w.matrix) fail(ErrorKind::internal, "linear: weight {} is not declared as a matrix", weight);
  static const Weight none;
  const Weight& b = bias < 0 ? none : pass.model().weight(bias, pass.layer());
  const Tensor y = pass.layer_memory().allocate({x.shape[0], w.matrix->n()});
  pass.backend().run(ops::Gemm{.x = x, .w = *w.matrix, .bias = b.tensor, .y = y});
  const AddedProduct added = add_low_rank(pass, x, weight, y);
  if (pass.tape() != nullptr) {
    pass.tape()->record([x, y, added, value = w.tensor, dw = w.gradient,
                         db = b.gradient](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const auto [dx, accumulate] = gradients.target(x);
      gradients.backend().run(
          ops::GemmInputGradient{.dy = dy, .w = value, .accumulate = accumulate, .dx = dx});
      if (dw.data != nullptr) {
        gradients.backend().run(ops::GemmWeightGradient{.dy = dy, .x = x, .dw = dw, .dbias = db});
      }
      low_rank_backward(added, dy, dx, gradients);
    });
  }
  return y;
}

}  // namespace gist
