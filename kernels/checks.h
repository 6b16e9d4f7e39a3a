// These functions check what the tensors of a backend's copies and weights must look like, on every
// backend. Each throws Error(internal) that says what it expects, and the tensors it got.
// Operations have theirs in kernels/ops.
#pragma once

#include "kernels/tensor.h"

namespace gist::checks {

void copy(const Tensor& source, const Tensor& target);
void pack(const HostTensor& weight);
/// `products`: the products' dtype.
void plain(const Tensor& weight, Dtype products);

}  // namespace gist::checks
