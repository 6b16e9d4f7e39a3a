#include "kernels/cuda/bf16_four.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/factor.h"
#include "kernels/cuda/half.h"
#include "kernels/cuda/matrix.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/products.h"

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
void multiply(Context& context, const Factor& a, const Factor& b, Product product) {
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

void gemm(Context& context, const Tensor& x, const Tensor& w, const Tensor& bias, const Tensor& y) {
  Product product;
  product.m = x.shape[0];
  product.n = w.shape[0];
  product.k = w.shape[1];
  product.bias = data_of<const float>(bias);
  product.y = data_of<float>(y);
  multiply(context, {x}, {w, true}, product);
}

void input_gradient(Context& context, const ops::GemmInputGradient& op) {
  Product product;
  product.m = op.dy.shape[0];
  product.n = op.w.shape[1];
  product.k = op.w.shape[0];
  product.accumulate = op.accumulate;
  product.y = data_of<float>(op.dx);
  multiply(context, {op.dy}, {op.w}, product);
}

void weight_gradient(Context& context, const ops::GemmWeightGradient& op) {
  const std::int64_t m = op.dy.shape[0], n = op.dw.shape[0];
  Product product;
  product.m = n;
  product.n = op.dw.shape[1];
  product.k = m;
  product.accumulate = true;
  product.y = data_of<float>(op.dw);
  multiply(context, {op.dy, true}, {op.x}, product);
  if (op.dbias.data == nullptr) return;
  add_rows(context, data_of<const float>(op.dy), m, n, data_of<float>(op.dbias));
}

void compute(const ops::Gemm& op, Context& context) {
  if (context.begin(op.name, op.y)) gemm(context, op.x, weight_of(op.w), op.bias, op.y);
}

void compute(const ops::GemmInputGradient& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  if (op.sizes().n > 0) {
    input_gradient(context, op);
  } else if (!op.accumulate) {
    context.device.zero(op.dx.data, op.dx.bytes());
  }
}

void compute(const ops::GemmWeightGradient& op, Context& context) {
  if (context.begin(op.name, op.dw) && op.sizes().m > 0) weight_gradient(context, op);
}

}  // namespace gist::cuda
