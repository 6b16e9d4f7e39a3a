#include "core/ops/ops.h"
#include "kernels/error.h"

namespace gist {

Tensor linear(Pass& pass, const Tensor& x, int weight, int bias) {
  const Weight& w = pass.model().weight(weight, pass.layer());
  if (!w.matrix) fail(ErrorKind::internal, "linear: weight {} is not declared as a matrix", weight);
  const Tensor b = bias < 0 ? Tensor{} : pass.model().weight(bias, pass.layer()).tensor;
  const Tensor y = pass.layer_memory().allocate({x.shape[0], w.matrix->n()});
  pass.backend().gemm(x, *w.matrix, b, y);
  return y;
}

}  // namespace gist
