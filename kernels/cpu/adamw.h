// What one step of AdamW does to every value (backend.h, AdamwOptions), in f32.
#pragma once

namespace gist::cpu {

struct AdamwStep {
  float gradient_factor;  // clips
  float keep;             // 1 - lr * weight_decay
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float rate;                  // lr / (1 - beta1^step)
  float inverse_root_of_bias;  // 1 / sqrt(1 - beta2^step)
  float eps;
};

}  // namespace gist::cpu
