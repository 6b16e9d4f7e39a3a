// The loss of a head's logits without the logits: in chunks of rows, [m, vocabulary] never exists
// whole.
#pragma once

#include "kernels/matrix.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/gemm.h"
#include "kernels/tensor.h"

namespace gist {

/// A head's logits, z = soft_cap * tanh(scale x / soft_cap) of x = hidden head^T + bias (z = scale
/// x where soft_cap is 0), and the loss that is taken of them:
///   loss = log sum exp(z) - (1 - label_smoothing) z[label] - label_smoothing * (mean of z)
struct CrossEntropySpec {
  float scale = 1;
  float soft_cap = 0;
  float factor = 1;           // of the loss, in its gradient alone
  float label_smoothing = 0;  // in [0, 1): the share of the target spread over the vocabulary
                              // (Szegedy et al. 2015, section 7)
};

namespace ops {

/// loss[i] = -log softmax(soft_cap(scale * (hidden[i] head^T + bias)))[labels[i]], and
/// best[i] = the id of the largest logit. A logit that isn't finite makes its row's loss NaN.
struct LinearCrossEntropy {
  static constexpr const char* name = "linear_cross_entropy";
  Tensor hidden;  // [m, d]
  const Matrix& head;
  Tensor bias = {};  // [vocabulary]; may have no data
  float scale = 1;
  float soft_cap = 0;
  Tensor labels;  // i32 [m]
  Tensor loss;    // [m]
  Tensor best;    // i32 [m]

  GemmSizes sizes() const { return {hidden.shape[0], head.n(), head.k()}; }
};

/// LinearCrossEntropy with its gradient: loss[m] as there but for label smoothing, for a head
/// [vocabulary, d] where it stands, and the gradients of factor * (sum of loss).
struct LinearCrossEntropyGradient {
  static constexpr const char* name = "linear_cross_entropy_gradient";
  Tensor hidden;
  Tensor head;
  Tensor bias = {};  // may have no data
  CrossEntropySpec spec = {};
  Tensor labels;
  Tensor loss;
  Tensor dhidden;
  Tensor dhead = {};  // without data: none
  Tensor dbias = {};  // likewise, and only where there is a bias

  GemmSizes sizes() const { return {hidden.shape[0], head.shape[0], head.shape[1]}; }
};

void check(const LinearCrossEntropy& op);
void check(const LinearCrossEntropyGradient& op);
OpCost cost(const LinearCrossEntropy& op);
OpCost cost(const LinearCrossEntropyGradient& op);

}  // namespace ops
}  // namespace gist
