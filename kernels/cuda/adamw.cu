#include "kernels/adamw.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// The norm stays on the device: each thread works out the clipping of its own.
__global__ void adamw_kernel(AdamwStep step, std::int64_t decayed, float max_norm,
                             const float* gradient, const float* norm, std::int64_t n,
                             float* weight, float* first, float* second) {
  float factor = 1;
  if (max_norm > 0) {
    factor = static_cast<float>(fmin(1.0, max_norm / (double{*norm} + 1e-6)));
  }
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    const float g = gradient[i] * factor;
    const float m = first[i] * step.beta1 + g * step.one_minus_beta1;
    const float v = second[i] * step.beta2 + g * g * step.one_minus_beta2;
    const float root = sqrtf(v) * step.inverse_root_of_bias + step.eps;
    first[i] = m;
    second[i] = v;
    weight[i] = weight[i] * (i < decayed ? step.keep : 1) - m * step.rate / root;
  }
}

}  // namespace

void compute(const ops::Adamw& op, Context& context) {
  if (!context.begin(op.name, op.weight)) return;
  const std::int64_t n = op.weight.shape.elements();
  launch(context.device, elementwise_grid(context.device, n), adamw_kernel, adamw_step(op.options),
         op.options.decayed, static_cast<float>(op.options.max_norm),
         data_of<const float>(op.gradient), data_of<const float>(op.norm), n,
         data_of<float>(op.weight), data_of<float>(op.first_moment),
         data_of<float>(op.second_moment));
}

}  // namespace gist::cuda
