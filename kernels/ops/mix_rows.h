#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist::ops {

/// y[i] = the sum over j of weights[i, j] x[places[i, j]]: what a row's experts say of it, together.
/// Without weights each counts one, which is the gradient of gathering rows.
struct MixRows {
  static constexpr const char* name = "mix_rows";
  Tensor x;             // [m, d]
  Tensor places;        // i32 [n, k]
  Tensor weights = {};  // [n, k]; may have no data
  Tensor y;             // [n, d]
};

/// For places that are each of [0, n k) once.
struct MixRowsBackward {
  static constexpr const char* name = "mix_rows_backward";
  Tensor x;         // [n k, d]
  Tensor places;    // i32 [n, k]
  Tensor weights;   // [n, k]
  Tensor dy;        // [n, d]
  Tensor dx;        // [n k, d]
  Tensor dweights;  // [n, k]
};

void check(const MixRows& op);
void check(const MixRowsBackward& op);
OpCost cost(const MixRows& op);
OpCost cost(const MixRowsBackward& op);

}  // namespace gist::ops
