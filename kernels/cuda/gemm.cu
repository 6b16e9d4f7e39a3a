#include "kernels/cuda/bf16_four.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// The first 4 * fours elements in fours, those from there on one by one.
__global__ void round_kernel(const float* x, std::int64_t fours, std::int64_t n, Bf16* y) {
  const auto* from = reinterpret_cast<const float4*>(x);
  auto* to = reinterpret_cast<Bf16Four*>(y);
  for (std::int64_t i = first_element(); i < fours; i += element_step()) {
    to[i] = to_bf16(from[i]);
  }
  for (std::int64_t i = 4 * fours + first_element(); i < n; i += element_step()) {
    y[i] = to_bf16(x[i]);
  }
}

/// A row-major matrix, or its transpose.
struct Factor {
  Tensor tensor;
  bool transposed = false;
};

/// Runs `product` of two factors.
void multiply(MatmulContext& context, const Factor& a, const Factor& b, Product product) {
  ScratchPieces pieces;
  const FactorMemory a_memory(context, a.tensor, pieces), b_memory(context, b.tensor, pieces);
  std::byte* memory = context.rounded.reserve(pieces.bytes());
  product.dtype = context.dtype;
  product.a = {a_memory.make(context.device, a.tensor, memory).data, a.transposed};
  product.b = {b_memory.make(context.device, b.tensor, memory).data, b.transposed};
  context.matmul.run(product);
}

}  // namespace

void round_to_bf16(Device& device, const Tensor& x, Bf16* y) {
  const std::int64_t n = x.shape.elements();
  const bool aligned = reinterpret_cast<std::uintptr_t>(x.data) % sizeof(float4) == 0;
  const std::int64_t fours = aligned ? n / 4 : 0;
  launch(device, elementwise_grid(device, aligned ? fours : n), round_kernel,
         data_of<const float>(x), fours, n, y);
}

void gemm(MatmulContext& context, const Tensor& x, const Tensor& w, const Tensor& bias,
          const Tensor& y) {
  Product product;
  product.m = x.shape[0];
  product.n = w.shape[0];
  product.k = w.shape[1];
  product.bias = data_of<const float>(bias);
  product.y = data_of<float>(y);
  multiply(context, {x}, {w, true}, product);
}

void gemm_input_gradient(MatmulContext& context, const Tensor& dy, const Tensor& w, bool accumulate,
                         const Tensor& dx) {
  Product product;
  product.m = dy.shape[0];
  product.n = w.shape[1];
  product.k = w.shape[0];
  product.accumulate = accumulate;
  product.y = data_of<float>(dx);
  multiply(context, {dy}, {w}, product);
}

void gemm_weight_gradient(MatmulContext& context, Scratch& scratch, const Tensor& dy,
                          const Tensor& x, const Tensor& dw, const Tensor& dbias) {
  const std::int64_t m = dy.shape[0], n = dw.shape[0];
  Product product;
  product.m = n;
  product.n = dw.shape[1];
  product.k = m;
  product.accumulate = true;
  product.y = data_of<float>(dw);
  multiply(context, {dy, true}, {x}, product);
  if (dbias.data == nullptr) return;
  add_rows(context.device, scratch, data_of<const float>(dy), m, n, data_of<float>(dbias));
}

}  // namespace gist::cuda
