#include "core/ops/ops.h"
#include "core/tape.h"

namespace gist {

Tensor gated_activation(Pass& pass, Activation activation, const Tensor& gate, const Tensor& up) {
  const Tensor y = pass.layer_memory().allocate(gate.shape);
  pass.backend().run(
      ops::GatedActivation{.activation = activation, .gate = gate, .up = up, .y = y});
  if (pass.tape() != nullptr) {
    pass.tape()->record([activation, gate, up, y](Gradients& gradients) {
      const Tensor dy = gradients.of(y);
      if (dy.data == nullptr) return;
      const Tensor dgate = gradients.allocate(gate.shape);
      const Tensor dup = gradients.allocate(up.shape);
      gradients.backend().run(ops::GatedActivationBackward{
          .activation = activation, .gate = gate, .up = up, .dy = dy, .dgate = dgate, .dup = dup});
      gradients.give(gate, dgate);
      gradients.give(up, dup);
    });
  }
  return y;
}

}  // namespace gist
