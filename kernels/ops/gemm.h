// Matrix products. None of their outputs may overlap an input.
#pragma once

#include <cstdint>

#include "kernels/matrix.h"
#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// Of x[m, k] w[n, k]^T.
struct GemmSizes {
  std::int64_t m = 0, n = 0, k = 0;
};

/// y[m, n] = x[m, k] w[n, k]^T (+ bias[n]).
struct Gemm {
  static constexpr const char* name = "gemm";
  Tensor x;
  const Matrix& w;
  Tensor bias = {};  // may have no data
  Tensor y;

  GemmSizes sizes() const { return {x.shape[0], w.n(), w.k()}; }
};

/// dx[m, k] = dy[m, n] w[n, k], added to what dx holds where `accumulate`. w: a weight that could be
/// Backend::plain.
struct GemmInputGradient {
  static constexpr const char* name = "gemm_input_gradient";
  Tensor dy;
  Tensor w;
  bool accumulate = false;
  Tensor dx;

  GemmSizes sizes() const { return {dy.shape[0], w.shape[0], w.shape[1]}; }
};

/// dw[n, k] += dy[m, n]^T x[m, k]; dbias[n] += the sum of dy's rows.
struct GemmWeightGradient {
  static constexpr const char* name = "gemm_weight_gradient";
  Tensor dy;
  Tensor x;
  Tensor dw;
  Tensor dbias = {};  // may have no data

  GemmSizes sizes() const { return {dy.shape[0], dy.shape[1], x.shape[1]}; }
};

void check(const Gemm& op);
void check(const GemmInputGradient& op);
void check(const GemmWeightGradient& op);
OpCost cost(const Gemm& op);
OpCost cost(const GemmInputGradient& op);
OpCost cost(const GemmWeightGradient& op);

/// Of a product, and of adding a bias to it where that has data.
std::int64_t product_flops(const GemmSizes& sizes, const Tensor& bias);

}  // namespace gist::ops
