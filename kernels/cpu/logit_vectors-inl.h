// Rows of logits on vectors: the cap, the softmax and its gradient. Included once a SIMD target.
#if defined(GIST_KERNELS_CPU_LOGIT_VECTORS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_LOGIT_VECTORS_INL_H
#undef GIST_KERNELS_CPU_LOGIT_VECTORS_INL_H
#else
#define GIST_KERNELS_CPU_LOGIT_VECTORS_INL_H
#endif

#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "kernels/ops/cross_entropy.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// y[n] = soft_cap * tanh(scale x / soft_cap), or scale x where soft_cap is 0; y may be x
inline void scale_and_cap_values(const float* x, std::int64_t n, float scale, float soft_cap,
                                 float* y) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto factor = hn::Set(tag, soft_cap > 0 ? scale / soft_cap : scale);
  const auto cap = hn::Set(tag, soft_cap);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(tag, x + i), factor);
    hn::StoreU(soft_cap > 0 ? hn::Mul(cap, hn::Tanh(tag, scaled)) : scaled, tag, y + i);
  }
  for (; i < n; ++i) {
    y[i] = soft_cap > 0 ? soft_cap * std::tanh(x[i] * (scale / soft_cap)) : x[i] * scale;
  }
}

/// NaN where any value is infinite or no number.
inline float largest_value(const float* x, std::int64_t n) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto zero = hn::Zero(tag);
  auto largest = hn::Set(tag, x[0]);
  auto spoilt = zero;  // Max may prefer a number to NaN, a sum doesn't
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::LoadU(tag, x + i);
    largest = hn::Max(largest, value);
    spoilt = hn::MulAdd(value, zero, spoilt);
  }
  float result = hn::GetLane(hn::MaxOfLanes(tag, largest));
  float spoilt_sum = hn::GetLane(hn::SumOfLanes(tag, spoilt));
  for (; i < n; ++i) {
    result = std::max(result, x[i]);
    spoilt_sum += x[i] * 0;
  }
  return std::isnan(spoilt_sum) ? spoilt_sum : result;
}

/// sum over n of exp(x - shift)
inline float sum_of_exponentials(const float* x, std::int64_t n, float shift) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto shifts = hn::Set(tag, shift);
  auto sum = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    sum = hn::Add(sum, hn::Exp(tag, hn::Sub(hn::LoadU(tag, x + i), shifts)));
  }
  float result = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; i < n; ++i) result += std::exp(x[i] - shift);
  return result;
}

inline float sum_of_values(const float* x, std::int64_t n) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  auto sum = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) sum = hn::Add(sum, hn::LoadU(tag, x + i));
  float result = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; i < n; ++i) result += x[i];
  return result;
}

/// x[n] = factor * (exp(x - shift) - spread) * the derivative of scale_and_cap, of which x is the
/// result
inline void softmax_gradient(float* x, std::int64_t n, float shift, float spread,
                             const CrossEntropySpec& spec) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto each = [&](auto d, std::int64_t i) {
    const auto value = hn::LoadU(d, x + i);
    const auto probability = hn::Exp(d, hn::Sub(value, hn::Set(d, shift)));
    auto result =
        hn::Mul(hn::Sub(probability, hn::Set(d, spread)), hn::Set(d, spec.factor * spec.scale));
    if (spec.soft_cap > 0) {
      const auto ratio = hn::Mul(value, hn::Set(d, 1 / spec.soft_cap));
      result = hn::Mul(result, hn::NegMulAdd(ratio, ratio, hn::Set(d, 1.0F)));
    }
    hn::StoreU(result, d, x + i);
  };
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i);
  for (; i < n; ++i) each(one_lane, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
