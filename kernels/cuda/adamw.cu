#include <cmath>

#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// AdamwOptions, worked out once.
struct AdamwStep {
  float max_norm, keep, beta1, one_minus_beta1, beta2, one_minus_beta2, rate, inverse_root_of_bias,
      eps;
};

/// The norm stays on the device: each thread works out the clipping of its own.
__global__ void adamw_kernel(AdamwStep step, const float* gradient, const float* norm,
                             std::int64_t n, float* weight, float* first, float* second) {
  float factor = 1;
  if (step.max_norm > 0) {
    factor = static_cast<float>(fmin(1.0, step.max_norm / (double{*norm} + 1e-6)));
  }
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    const float g = gradient[i] * factor;
    const float m = first[i] * step.beta1 + g * step.one_minus_beta1;
    const float v = second[i] * step.beta2 + g * g * step.one_minus_beta2;
    const float root = sqrtf(v) * step.inverse_root_of_bias + step.eps;
    first[i] = m;
    second[i] = v;
    weight[i] = weight[i] * step.keep - m * step.rate / root;
  }
}

}  // namespace

void adamw(Device& device, const AdamwOptions& options, const Tensor& gradient, const Tensor& norm,
           const Tensor& weight, const Tensor& first_moment, const Tensor& second_moment) {
  const auto step = static_cast<double>(options.step);
  const AdamwStep constants{static_cast<float>(options.max_norm),
                            static_cast<float>(1 - options.lr * options.weight_decay),
                            static_cast<float>(options.beta1),
                            static_cast<float>(1 - options.beta1),
                            static_cast<float>(options.beta2),
                            static_cast<float>(1 - options.beta2),
                            static_cast<float>(options.lr / (1 - std::pow(options.beta1, step))),
                            static_cast<float>(1 / std::sqrt(1 - std::pow(options.beta2, step))),
                            static_cast<float>(options.eps)};
  const std::int64_t n = weight.shape.elements();
  launch(device, elementwise_grid(device, n), adamw_kernel, constants,
         data_of<const float>(gradient), data_of<const float>(norm), n, data_of<float>(weight),
         data_of<float>(first_moment), data_of<float>(second_moment));
}

}  // namespace gist::cuda
