#pragma once

#include "kernels/ops/activation.h"

namespace gist::ops {

/// y = activation(gate) * up.
struct GatedActivation {
  static constexpr const char* name = "gated_activation";
  gist::Activation activation;
  Tensor gate;
  Tensor up;
  Tensor y;
};

struct GatedActivationBackward {
  static constexpr const char* name = "gated_activation_backward";
  gist::Activation activation;
  Tensor gate;
  Tensor up;
  Tensor dy;
  Tensor dgate;
  Tensor dup;
};

void check(const GatedActivation& op);
void check(const GatedActivationBackward& op);
OpCost cost(const GatedActivation& op);
OpCost cost(const GatedActivationBackward& op);

}  // namespace gist::ops
