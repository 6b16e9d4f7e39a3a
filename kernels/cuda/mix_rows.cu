#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// A block a row of y; weights may be null.
__global__ void mix_kernel(const float* x, const std::int32_t* places, const float* weights, int k,
                           std::int64_t d, IndexCheck check, float* y) {
  const std::int64_t row = blockIdx.x;
  for (int j = 0; j < k; ++j) {
    const int i = static_cast<int>(row) * k + j;
    if (!check.passes(i, places[i])) return;
  }
  for (std::int64_t c = threadIdx.x; c < d; c += blockDim.x) {
    float sum = 0;
    for (std::int64_t i = row * k; i < (row + 1) * k; ++i) {
      const float value = x[places[i] * d + c];
      sum += weights == nullptr ? value : weights[i] * value;
    }
    y[row * d + c] = sum;
  }
}

/// A block a copy of a row.
__global__ void mix_backward_kernel(const float* x, const std::int32_t* places,
                                    const float* weights, const float* dy, int k, std::int64_t d,
                                    IndexCheck check, float* dx, float* dweights) {
  SharedMemory memory;
  const SharedArray<float> parts = memory.take<float>(warp_size);
  const int i = static_cast<int>(blockIdx.x);
  const std::int64_t place = places[i];
  if (!check.passes(i, places[i])) return;
  const float* from = dy + i / k * d;
  float dot = 0;
  for (std::int64_t c = threadIdx.x; c < d; c += blockDim.x) {
    dot += x[place * d + c] * from[c];
    dx[place * d + c] = weights[i] * from[c];
  }
  dot = reduce_block<Sum>(dot, parts);
  if (threadIdx.x == 0) dweights[i] = dot;
}

}  // namespace

void compute(const ops::MixRows& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  launch(context.device, a_block_a_row(op.y.shape[0]), mix_kernel, data_of<const float>(op.x),
         data_of<const std::int32_t>(op.places), data_of<const float>(op.weights),
         static_cast<int>(op.places.shape[1]), op.y.shape[1],
         IndexCheck(context.device, "mix_rows: expected places", op.x.shape[0]),
         data_of<float>(op.y));
}

void compute(const ops::MixRowsBackward& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  launch(context.device, a_block_a_row(op.x.shape[0]), mix_backward_kernel,
         data_of<const float>(op.x), data_of<const std::int32_t>(op.places),
         data_of<const float>(op.weights), data_of<const float>(op.dy),
         static_cast<int>(op.places.shape[1]), op.x.shape[1],
         IndexCheck(context.device, "mix_rows_backward: expected places", op.x.shape[0]),
         data_of<float>(op.dx), data_of<float>(op.dweights));
}

}  // namespace gist::cuda
