// Operations multiply and sum with these functions. Tensors are not empty. None of it is an
// operation of its own: messages name the one that has begun.
#pragma once

#include "kernels/cuda/operations.h"

namespace gist::cuda {

/// ops::Gemm with the weight itself, of any dtype that products have.
void gemm(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& y);
/// Factors may have the products' dtype.
void input_gradient(Context& context, const ops::GemmInputGradient& op);
void weight_gradient(Context& context, const ops::GemmWeightGradient& op);

/// sum[columns] += the sum of x[rows, columns]'s rows, in an order that depends on the shape alone.
void add_rows(Context& context, const float* x, std::int64_t rows, std::int64_t columns,
              float* sum);

}  // namespace gist::cuda
