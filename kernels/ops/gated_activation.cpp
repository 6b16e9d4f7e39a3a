#include "kernels/ops/gated_activation.h"

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const GatedActivation& op) {
  const Shape& shape = op.gate.shape;
  if (!is_f32(op.gate, shape) || !is_f32(op.up, shape) || !is_f32(op.y, shape)) {
    refuse(op.name, "gate, up and y f32 of one shape",
           {{"gate", op.gate}, {"up", op.up}, {"y", op.y}});
  }
}

void check(const GatedActivationBackward& op) {
  for (const Tensor* each : {&op.gate, &op.up, &op.dy, &op.dgate, &op.dup}) {
    if (is_f32(*each, op.gate.shape)) continue;
    refuse(op.name, "gate, up, dy, dgate and dup f32 of one shape",
           {{"gate", op.gate}, {"up", op.up}, {"dy", op.dy}, {"dgate", op.dgate}, {"dup", op.dup}});
  }
}

OpCost cost(const GatedActivation& op) {
  return one_call(2 * op.y.shape.elements(), {&op.gate, &op.up}, {&op.y});
}

OpCost cost(const GatedActivationBackward& op) {
  return one_call(7 * op.dy.shape.elements(), {&op.gate, &op.up, &op.dy}, {&op.dgate, &op.dup});
}

}  // namespace gist::ops
