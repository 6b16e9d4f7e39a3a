#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[.., d] = x / sqrt(mean(x^2) + eps) * (weight_offset + weight[d]) (Zhang and Sennrich 2019; an
/// offset of 1 is Gemma's).
struct RmsNorm {
  static constexpr const char* name = "rms_norm";
  Tensor x;
  Tensor weight;
  float weight_offset = 0;
  float eps;
  Tensor y;
};

struct RmsNormBackward {
  static constexpr const char* name = "rms_norm_backward";
  Tensor x;
  Tensor weight;
  float weight_offset = 0;
  float eps;
  Tensor dy;
  Tensor dx;
  Tensor dweight;  // without data: none
};

void check(const RmsNorm& op);
void check(const RmsNormBackward& op);
OpCost cost(const RmsNorm& op);
OpCost cost(const RmsNormBackward& op);

}  // namespace gist::ops
