#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/products.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

/// 1 / sqrt(mean(x^2) + eps) of a row that the block shares; NaN where the squares are too large
/// to add.
__device__ float inverse_rms(const float* x, std::int64_t d, float eps, SharedArray<float> parts) {
  float sum = 0;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) sum += x[i] * x[i];
  sum = reduce_block<Sum>(sum, parts);
  return 1 / sqrtf(sum / static_cast<float>(d) + eps) + sum * 0;
}

/// A block a row.
__global__ void rms_norm_kernel(const float* x, const float* weight, float offset, std::int64_t d,
                                float eps, float* y) {
  SharedMemory memory;
  const float* from = x + blockIdx.x * d;
  float* to = y + blockIdx.x * d;
  const float factor = inverse_rms(from, d, eps, memory.take<float>(warp_size));
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    to[i] = from[i] * factor * (offset + weight[i]);
  }
}

/// With r = 1 / rms(x) and w = offset + weight: dx = r (w dy - x r^2 mean(w dy x)); the row's part
/// of the weight's gradient, dy x r, goes to products[row, d]. dx may be dy.
__global__ void rms_norm_backward_kernel(const float* x, const float* weight, float offset,
                                         const float* dy, std::int64_t d, float eps, float* dx,
                                         float* products) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const std::int64_t row = blockIdx.x;
  const float* in = x + row * d;
  const float* dout = dy + row * d;
  const float r = inverse_rms(in, d, eps, parts);
  float dot = 0;
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    const float product = dout[i] * in[i];
    dot += product * (offset + weight[i]);
    products[row * d + i] = product * r;
  }
  const float share = r * r * r * reduce_block<Sum>(dot, parts) / static_cast<float>(d);
  for (std::int64_t i = threadIdx.x; i < d; i += blockDim.x) {
    dx[row * d + i] = r * (offset + weight[i]) * dout[i] - share * in[i];
  }
}

}  // namespace

void compute(const ops::RmsNorm& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t d = op.weight.shape[0];
  launch(context.device, a_block_a_row(op.x.shape.elements() / d), rms_norm_kernel,
         data_of<const float>(op.x), data_of<const float>(op.weight), op.weight_offset, d, op.eps,
         data_of<float>(op.y));
}

void compute(const ops::RmsNormBackward& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  const std::int64_t d = op.weight.shape[0];
  const std::int64_t rows = op.x.shape.elements() / d;
  float* product = context.scratch.reserve_array<float>(static_cast<std::size_t>(rows * d));
  launch(context.device, a_block_a_row(rows), rms_norm_backward_kernel, data_of<const float>(op.x),
         data_of<const float>(op.weight), op.weight_offset, data_of<const float>(op.dy), d, op.eps,
         data_of<float>(op.dx), product);
  if (op.dweight.data == nullptr) return;
  add_rows(context, product, rows, d, data_of<float>(op.dweight));
}

}  // namespace gist::cuda
