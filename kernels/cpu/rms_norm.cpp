#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// y[d] = x[d] / sqrt(mean(x^2) + eps) * weight[d]
void normalise_row(const float* x, const float* weight, float eps, std::int64_t d, float* y) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  auto sum0 = hn::Zero(tag);
  auto sum1 = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= d; i += 2 * lanes) {
    const auto a = hn::LoadU(tag, x + i);
    const auto b = hn::LoadU(tag, x + i + lanes);
    sum0 = hn::MulAdd(a, a, sum0);
    sum1 = hn::MulAdd(b, b, sum1);
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, hn::Add(sum0, sum1)));
  for (; i < d; ++i) sum += x[i] * x[i];

  const float factor = 1 / std::sqrt(sum / static_cast<float>(d) + eps);
  const auto factors = hn::Set(tag, factor);
  for (i = 0; i + lanes <= d; i += lanes) {
    const auto normal = hn::Mul(hn::LoadU(tag, x + i), factors);
    hn::StoreU(hn::Mul(normal, hn::LoadU(tag, weight + i)), tag, y + i);
  }
  for (; i < d; ++i) y[i] = x[i] * factor * weight[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(normalise_row);

void rms_norm(const Tensor& x, const Tensor& weight, float eps, const Tensor& y, int threads) {
  const std::int64_t d = weight.shape[0];
  if (d == 0) return;
  const auto* in = static_cast<const float*>(x.data);
  const auto* w = static_cast<const float*>(weight.data);
  auto* out = static_cast<float*>(y.data);
  const auto normalise = HWY_DYNAMIC_DISPATCH(normalise_row);
  parallel_ranges(threads, x.shape.elements() / d, 16384 / d + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      normalise(in + i * d, w, eps, d, out + i * d);
                    }
                  });
}

}  // namespace gist::cpu
#endif
