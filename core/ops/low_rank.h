// What an adapter adds to the products of `linear`.
#pragma once

#include "core/adapter.h"
#include "core/pass.h"
#include "core/tape.h"

namespace gist {

/// A product that was added, as its gradient needs it.
struct AddedProduct {
  const LowRank* part = nullptr;  // null: nothing was added
  float scale = 1;
  Dropout dropout;
  Tensor tokens;   // i32 [g]
  Tensor x;        // [g, k], after dropout
  Tensor reduced;  // [g, rank]: scale x A^T
};

/// Adds the adapter's part of `weight` to the gist tokens' rows of y = x W^T.
AddedProduct add_low_rank(Pass& pass, const Tensor& x, int weight, const Tensor& y);
/// Adds the gradient of what was added to dx, and to those of A and B.
void low_rank_backward(const AddedProduct& added, const Tensor& dy, const Tensor& dx,
                       Gradients& gradients);

}  // namespace gist
