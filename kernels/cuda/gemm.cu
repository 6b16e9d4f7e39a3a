#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

__global__ void round_kernel(const float* x, std::int64_t n, Bf16* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) y[i] = to_bf16(x[i]);
}

}  // namespace

void gemm(MatmulContext& context, const Tensor& x, const WeightView& w, const Tensor& bias,
          const Tensor& y) {
  Product product;
  product.m = x.shape[0];
  product.n = w.n;
  product.k = w.k;
  product.dtype = w.dtype;
  product.a = {x.data};
  product.b = {w.data, true};
  product.bias = data_of<const float>(bias);
  product.y = data_of<float>(y);
  if (w.dtype == Dtype::bf16) {
    const std::int64_t n = x.shape.elements();
    Bf16* rounded = context.rounded.reserve_array<Bf16>(static_cast<std::size_t>(n));
    launch(context.device, elementwise_grid(context.device, n), round_kernel,
           data_of<const float>(x), n, rounded);
    product.a.data = rounded;
  }
  context.matmul.run(product);
}

void gemm_input_gradient(MatmulContext& context, const Tensor& dy, const Tensor& w, bool accumulate,
                         const Tensor& dx) {
  const std::int64_t n = w.shape[0], k = w.shape[1];
  Product product;
  product.m = dy.shape[0];
  product.n = k;
  product.k = n;
  product.a = {dy.data};
  product.b = {w.data};
  product.accumulate = accumulate;
  product.y = data_of<float>(dx);
  context.matmul.run(product);
}

void gemm_weight_gradient(MatmulContext& context, Scratch& scratch, const Tensor& dy,
                          const Tensor& x, const Tensor& dw, const Tensor& dbias) {
  const std::int64_t n = dw.shape[0], k = dw.shape[1];
  const std::int64_t m = dy.shape[0];
  Product product;
  product.m = n;
  product.n = k;
  product.k = m;
  product.a = {dy.data, true};
  product.b = {x.data};
  product.accumulate = true;
  product.y = data_of<float>(dw);
  context.matmul.run(product);
  if (dbias.data == nullptr) return;
  add_rows(context.device, scratch, data_of<const float>(dy), m, n, data_of<float>(dbias));
}

}  // namespace gist::cuda
