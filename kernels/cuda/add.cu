#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

__global__ void add_kernel(const float* a, const float* b, std::int64_t n, float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) y[i] = a[i] + b[i];
}

}  // namespace

void add(Device& device, const Tensor& a, const Tensor& b, const Tensor& y) {
  const std::int64_t n = y.shape.elements();
  launch(device, elementwise_grid(device, n), add_kernel, data_of<const float>(a),
         data_of<const float>(b), n, data_of<float>(y));
}

}  // namespace gist::cuda
