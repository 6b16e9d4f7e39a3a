#include "kernels/ops/adamw.h"

#include <cmath>

#include "kernels/ops/check_tensors.h"

namespace gist::ops {

void check(const Adamw& op) {
  const Shape& shape = op.gradient.shape;
  if (!is_f32(op.norm, {1}) || !is_f32(op.gradient, shape) || !is_f32(op.weight, shape) ||
      !is_f32(op.first_moment, shape) || !is_f32(op.second_moment, shape)) {
    refuse(op.name,
           "norm f32 [1] and gradient, weight, first_moment, second_moment f32 of one shape",
           {{"gradient", op.gradient},
            {"norm", op.norm},
            {"weight", op.weight},
            {"first_moment", op.first_moment},
            {"second_moment", op.second_moment}});
  }
  const AdamwOptions& options = op.options;
  const bool betas =
      options.beta1 >= 0 && options.beta1 < 1 && options.beta2 >= 0 && options.beta2 < 1;
  if (!betas || !std::isfinite(options.lr) || !(options.eps >= 0) || !(options.max_norm >= 0) ||
      !std::isfinite(options.weight_decay) || options.decayed < 0 || options.step < 1) {
    fail(ErrorKind::internal,
         "{}: expected betas within [0, 1), a finite lr and weight_decay, eps, max_norm and "
         "decayed not below 0 and a step from 1 on; found betas {} and {}, lr {}, weight_decay {}, "
         "eps {}, max_norm {}, decayed {}, step {}",
         op.name, options.beta1, options.beta2, options.lr, options.weight_decay, options.eps,
         options.max_norm, options.decayed, options.step);
  }
}

OpCost cost(const Adamw& op) {
  return one_call(12 * op.weight.shape.elements(),
                  {&op.gradient, &op.norm, &op.weight, &op.first_moment, &op.second_moment},
                  {&op.weight, &op.first_moment, &op.second_moment});
}

}  // namespace gist::ops
