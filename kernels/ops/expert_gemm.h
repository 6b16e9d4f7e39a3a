// Matrix products of rows that stand grouped by expert (ExpertRouting), each with its expert's
// weight. The experts' rows [m, ..] end at ends i32 [experts], which don't fall; the last is m. None
// of the outputs may overlap an input.
#pragma once

#include <span>

#include "kernels/matrix.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/gemm.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[m, n] = x[m, k] w[e][n, k]^T for the rows of each expert e.
struct ExpertGemm {
  static constexpr const char* name = "expert_gemm";
  Tensor x;
  Tensor ends;
  std::span<const Matrix* const> w;  // of one shape
  Tensor y;

  GemmSizes sizes() const { return {x.shape[0], w[0]->n(), w[0]->k()}; }
};

/// dx[m, k] = dy[m, n] w[e][n, k] for the rows of each expert e, added to what dx holds where
/// `accumulate`.
struct ExpertGemmInputGradient {
  static constexpr const char* name = "expert_gemm_input_gradient";
  Tensor dy;
  Tensor ends;
  std::span<const Tensor> w;
  bool accumulate = false;
  Tensor dx;

  GemmSizes sizes() const { return {dy.shape[0], w[0].shape[0], w[0].shape[1]}; }
};

/// dw[e][n, k] += dy[r, n]^T x[r, k] of the r rows of each expert e.
struct ExpertGemmWeightGradient {
  static constexpr const char* name = "expert_gemm_weight_gradient";
  Tensor dy;
  Tensor x;
  Tensor ends;
  std::span<const Tensor> dw;

  GemmSizes sizes() const { return {dy.shape[0], dw[0].shape[0], dw[0].shape[1]}; }
};

void check(const ExpertGemm& op);
void check(const ExpertGemmInputGradient& op);
void check(const ExpertGemmWeightGradient& op);
/// As if the rows fell to as many experts as they can: each reads its weight once.
OpCost cost(const ExpertGemm& op);
OpCost cost(const ExpertGemmInputGradient& op);
OpCost cost(const ExpertGemmWeightGradient& op);

}  // namespace gist::ops
