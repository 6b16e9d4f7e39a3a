#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/adamw.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/adamw.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// gradient_factor clips.
void update_values(const AdamwStep& step, float gradient_factor, const float* gradient,
                   std::int64_t n, float* weight, float* first_moment, float* second_moment) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto each = [&](auto d, std::int64_t i) {
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, gradient_factor));
    const auto m = hn::MulAdd(hn::LoadU(d, first_moment + i), hn::Set(d, step.beta1),
                              hn::Mul(g, hn::Set(d, step.one_minus_beta1)));
    const auto v = hn::MulAdd(hn::LoadU(d, second_moment + i), hn::Set(d, step.beta2),
                              hn::Mul(hn::Mul(g, g), hn::Set(d, step.one_minus_beta2)));
    const auto root =
        hn::MulAdd(hn::Sqrt(v), hn::Set(d, step.inverse_root_of_bias), hn::Set(d, step.eps));
    const auto kept = hn::Mul(hn::LoadU(d, weight + i), hn::Set(d, step.keep));
    const auto change = hn::Div(hn::Mul(m, hn::Set(d, step.rate)), root);
    hn::StoreU(m, d, first_moment + i);
    hn::StoreU(v, d, second_moment + i);
    hn::StoreU(hn::Sub(kept, change), d, weight + i);
  };
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i);
  for (; i < n; ++i) each(one_lane, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(update_values);

void compute(const ops::Adamw& op, Context& context) {
  double factor = 1;
  if (op.options.max_norm > 0) {
    factor = std::min(1.0, op.options.max_norm / (*static_cast<const float*>(op.norm.data) + 1e-6));
  }
  const auto gradient_factor = static_cast<float>(factor);
  const AdamwStep step = adamw_step(op.options);
  AdamwStep undecayed = step;
  undecayed.keep = 1;
  const auto* gradients = static_cast<const float*>(op.gradient.data);
  auto* weights = static_cast<float*>(op.weight.data);
  auto* first = static_cast<float*>(op.first_moment.data);
  auto* second = static_cast<float*>(op.second_moment.data);
  const auto update = HWY_DYNAMIC_DISPATCH(update_values);
  parallel_ranges(context.threads, op.weight.shape.elements(), 16384,
                  [&](std::int64_t begin, std::int64_t end) {
                    const std::int64_t middle = std::clamp(op.options.decayed, begin, end);
                    const auto part = [&](const AdamwStep& of, std::int64_t from, std::int64_t n) {
                      update(of, gradient_factor, gradients + from, n, weights + from, first + from,
                             second + from);
                    };
                    part(step, begin, middle - begin);
                    part(undecayed, middle, end - middle);
                  });
}

}  // namespace gist::cpu
#endif
