#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

__global__ void add_kernel(const float* a, const float* b, std::int64_t n, float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) y[i] = a[i] + b[i];
}

}  // namespace

void compute(const ops::Add& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.y.shape.elements();
  launch(context.device, elementwise_grid(context.device, n), add_kernel,
         data_of<const float>(op.a), data_of<const float>(op.b), n, data_of<float>(op.y));
}

}  // namespace gist::cuda
