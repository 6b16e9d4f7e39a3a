#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[.., d] = (x - mean(x)) / sqrt(variance(x) + eps) * weight[d] + bias[d] (Ba, Kiros and Hinton
/// 2016). Without data, weight is all ones and bias all zeros.
struct LayerNorm {
  static constexpr const char* name = "layer_norm";
  Tensor x;
  Tensor weight;
  Tensor bias;
  float eps;
  Tensor y;
};

/// The bias takes no part but by its gradient.
struct LayerNormBackward {
  static constexpr const char* name = "layer_norm_backward";
  Tensor x;
  Tensor weight;
  float eps;
  Tensor dy;
  Tensor dx;
  Tensor dweight;  // without data: none, as where weight has none
  Tensor dbias;    // without data: none
};

void check(const LayerNorm& op);
void check(const LayerNormBackward& op);
OpCost cost(const LayerNorm& op);
OpCost cost(const LayerNormBackward& op);

}  // namespace gist::ops
