#include "core/ops/ops.h"

namespace gist {

Tensor rms_norm(Pass& pass, const Tensor& x, int weight, float eps) {
  const Tensor y = pass.layer_memory().allocate(x.shape);
  pass.backend().rms_norm(x, pass.model().weight(weight, pass.layer()).tensor, eps, y);
  return y;
}

}  // namespace gist
