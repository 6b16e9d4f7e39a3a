#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

/// A row is normalised by its RowMoments.
struct RowMoments {
  float mean;
  float inverse_deviation;  // NaN where the row's values aren't all finite
};

/// Returns the moments of a row that the block shares. The variance is taken around the mean, so
/// that no digits cancel.
__device__ RowMoments moments_of(const float* x, std::int64_t d, float eps,
                                 SharedArray<float> parts) {
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) sum += x[i];
  const float mean = reduce_block<Sum>(sum, parts) / static_cast<float>(d);
  float square = 0;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    square += (x[i] - mean) * (x[i] - mean);
  }
  square = reduce_block<Sum>(square, parts);
  return {mean, 1 / sqrtf(square / static_cast<float>(d) + eps) + square * 0};
}

/// A block a row; weight and bias may be null.
__global__ void layer_norm_kernel(const float* x, const float* weight, const float* bias,
                                  std::int64_t d, float eps, float* y) {
  SharedMemory memory;
  const float* from = x + blockIdx.x * d;
  float* to = y + blockIdx.x * d;
  const RowMoments row = moments_of(from, d, eps, memory.take<float>(warp_size));
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    float value = (from[i] - row.mean) * row.inverse_deviation;
    if (weight != nullptr) value *= weight[i];
    if (bias != nullptr) value += bias[i];
    to[i] = value;
  }
}

/// With n = (x - mean) r, r = 1 / deviation and g = weight dy: dx = r (g - mean(g) - n mean(g n)).
/// The row's part of the weight's gradient, dy n, goes to products[row, d], if that isn't null. dx
/// may be dy.
__global__ void layer_norm_backward_kernel(const float* x, const float* weight, const float* dy,
                                           std::int64_t d, float eps, float* dx, float* products) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const std::int64_t row = blockIdx.x;
  const float* in = x + row * d;
  const float* dout = dy + row * d;
  const RowMoments moments = moments_of(in, d, eps, parts);
  const float r = moments.inverse_deviation;
  float sum = 0, dot = 0;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    const float normal = (in[i] - moments.mean) * r;
    const float g = weight == nullptr ? dout[i] : weight[i] * dout[i];
    sum += g;
    dot += g * normal;
    if (products != nullptr) products[row * d + i] = dout[i] * normal;
  }
  const float mean = reduce_block<Sum>(sum, parts) / static_cast<float>(d);
  const float share = reduce_block<Sum>(dot, parts) / static_cast<float>(d);
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    const float normal = (in[i] - moments.mean) * r;
    const float g = weight == nullptr ? dout[i] : weight[i] * dout[i];
    dx[row * d + i] = r * (g - mean - normal * share);
  }
}

}  // namespace

void compute(const ops::LayerNorm& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t d = op.x.shape[op.x.shape.rank - 1];
  launch(context.device, a_block_a_row(op.x.shape.elements() / d), layer_norm_kernel,
         data_of<const float>(op.x), data_of<const float>(op.weight), data_of<const float>(op.bias),
         d, op.eps, data_of<float>(op.y));
}

void compute(const ops::LayerNormBackward& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  const std::int64_t d = op.x.shape[op.x.shape.rank - 1];
  const std::int64_t rows = op.x.shape.elements() / d;
  // Before dx, which may stand where dy does.
  if (op.dbias.data != nullptr) {
    add_rows(context, data_of<const float>(op.dy), rows, d, data_of<float>(op.dbias));
  }
  float* product = nullptr;
  if (op.dweight.data != nullptr) {
    product = context.scratch.reserve_array<float>(static_cast<std::size_t>(rows * d));
  }
  launch(context.device, a_block_a_row(rows), layer_norm_backward_kernel,
         data_of<const float>(op.x), data_of<const float>(op.weight), data_of<const float>(op.dy),
         d, op.eps, data_of<float>(op.dx), product);
  if (product != nullptr) add_rows(context, product, rows, d, data_of<float>(op.dweight));
}

}  // namespace gist::cuda
