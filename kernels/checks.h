// These functions check what the tensors of a backend's copies and weights must look like, on every
// backend. Each throws Error(internal) that says what it expects, and the tensors it got.
// Operations have theirs in kernels/ops.
#pragma once

#include "kernels/tensor.h"

namespace gist::checks {

void copy(const Tensor& source, const Tensor& target);
void pack(const HostTensor& weight);
void plain(const Tensor& weight);

}  // namespace gist::checks
