#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"
#include "kernels/cuda/reduce.h"

namespace gist::cuda {
namespace {

constexpr int norm_blocks = 512;

/// Sums are f64: no digits are lost, and reading takes longer than adding. The grid doesn't depend
/// on the device: neither does the result.
__global__ void sum_squares_kernel(const float* x, std::int64_t n, double* sums) {
  SharedMemory memory;
  double sum = 0;
  for (std::int64_t i = first_element(); i < n; i += element_step()) sum += double{x[i]} * x[i];
  sum = reduce_block<Sum>(sum, memory.take<double>(warp_size));
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

__global__ void root_kernel(const double* sums, float* y) {
  double sum = 0;
  for (int i = 0; i < norm_blocks; ++i) sum += sums[i];
  *y = static_cast<float>(sqrt(sum));
}

}  // namespace

void compute(const ops::Norm& op, Context& context) {
  context.begin(op.name, op.x);  // an empty x has a norm as well
  double* sums = context.scratch.reserve_array<double>(norm_blocks);
  launch(context.device,
         {dim3(norm_blocks), dim3(elementwise_threads), shared_bytes<double>(warp_size)},
         sum_squares_kernel, data_of<const float>(op.x), op.x.shape.elements(), sums);
  launch(context.device, {dim3(1), dim3(1)}, root_kernel, sums, data_of<float>(op.y));
}

}  // namespace gist::cuda
