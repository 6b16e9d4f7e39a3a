#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// One step of AdamW (Loshchilov and Hutter 2019), in the order of PyTorch's:
///   g = gradient * min(1, max_norm / (norm + 1e-6));  w *= 1 - lr * weight_decay
///   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2
///   w -= lr / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + eps)
struct AdamwOptions {
  double lr = 0;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0;
  std::int64_t decayed = INT64_MAX;  // of so many values alone, from the first on, w decays
  double max_norm = 0;               // of the gradient; 0: not clipped
  std::int64_t step = 1;             // counted from 1
};

namespace ops {

/// All five of one shape but norm[1], the gradient's norm over all tensors.
struct Adamw {
  static constexpr const char* name = "adamw";
  AdamwOptions options;
  Tensor gradient;
  Tensor norm;
  Tensor weight;
  Tensor first_moment;
  Tensor second_moment;
};

void check(const Adamw& op);
OpCost cost(const Adamw& op);

}  // namespace ops
}  // namespace gist
