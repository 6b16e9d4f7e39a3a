#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// silu(x) = x sigmoid(x); relu(x) = max(x, 0);
/// gelu_new(x) = 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))).
enum class Activation : std::uint8_t { silu, relu, gelu_new };

namespace ops {

/// y = activation(x).
struct Activation {
  static constexpr const char* name = "activation";
  gist::Activation activation;
  Tensor x;
  Tensor y;
};

struct ActivationBackward {
  static constexpr const char* name = "activation_backward";
  gist::Activation activation;
  Tensor x;
  Tensor dy;
  Tensor dx;
};

void check(const Activation& op);
void check(const ActivationBackward& op);
OpCost cost(const Activation& op);
OpCost cost(const ActivationBackward& op);

}  // namespace ops
}  // namespace gist
