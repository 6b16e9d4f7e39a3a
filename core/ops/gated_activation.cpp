#include "core/ops/ops.h"

namespace gist {

Tensor gated_activation(Pass& pass, Activation activation, const Tensor& gate, const Tensor& up) {
  const Tensor y = pass.layer_memory().allocate(gate.shape);
  pass.backend().gated_activation(activation, gate, up, y);
  return y;
}

}  // namespace gist
