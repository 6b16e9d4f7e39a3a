// One step of AdamW (ops/adamw.h) does this to every value, in f32.
#pragma once

#include <cmath>

#include "kernels/ops/adamw.h"

namespace gist {

struct AdamwStep {
  float keep;  // 1 - lr * weight_decay
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float rate;                  // lr / (1 - beta1^step)
  float inverse_root_of_bias;  // 1 / sqrt(1 - beta2^step)
  float eps;
};

inline AdamwStep adamw_step(const AdamwOptions& options) {
  const auto step = static_cast<double>(options.step);
  const double root_of_bias = std::sqrt(1 - std::pow(options.beta2, step));
  return {static_cast<float>(1 - options.lr * options.weight_decay),
          static_cast<float>(options.beta1),
          static_cast<float>(1 - options.beta1),
          static_cast<float>(options.beta2),
          static_cast<float>(1 - options.beta2),
          static_cast<float>(options.lr / (1 - std::pow(options.beta1, step))),
          static_cast<float>(1 / root_of_bias),
          static_cast<float>(options.eps)};
}

}  // namespace gist
