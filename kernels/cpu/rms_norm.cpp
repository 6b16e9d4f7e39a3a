#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/rms_norm.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sum_over_rows.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// 1 / sqrt(mean(x^2) + eps); NaN where the squares are too large to add.
float inverse_rms(const float* x, float eps, std::int64_t d) {
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
  return 1 / std::sqrt(sum / static_cast<float>(d) + eps) + sum * 0;
}

/// y[d] = x[d] / sqrt(mean(x^2) + eps) * (offset + weight[d])
void normalise_row(const float* x, const float* weight, float offset, float eps, std::int64_t d,
                   float* y) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const float factor = inverse_rms(x, eps, d);
  std::int64_t i = 0;
  const auto factors = hn::Set(tag, factor);
  const auto offsets = hn::Set(tag, offset);
  for (; i + lanes <= d; i += lanes) {
    const auto normal = hn::Mul(hn::LoadU(tag, x + i), factors);
    hn::StoreU(hn::Mul(normal, hn::Add(offsets, hn::LoadU(tag, weight + i))), tag, y + i);
  }
  for (; i < d; ++i) y[i] = x[i] * factor * (offset + weight[i]);
}

/// With r = 1 / rms(x) and w = offset + weight: dx = r (w dy - x r^2 mean(w dy x)); dweight += dy x
/// r.
void normalise_row_backward(const float* x, const float* weight, float offset, float eps,
                            const float* dy, std::int64_t d, float* dx, float* dweight) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const float r = inverse_rms(x, eps, d);
  const auto rs = hn::Set(tag, r);
  const auto offsets = hn::Set(tag, offset);
  auto dots = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    const auto product = hn::Mul(hn::LoadU(tag, dy + i), hn::LoadU(tag, x + i));
    dots = hn::MulAdd(product, hn::Add(offsets, hn::LoadU(tag, weight + i)), dots);
    hn::StoreU(hn::MulAdd(product, rs, hn::LoadU(tag, dweight + i)), tag, dweight + i);
  }
  float dot = hn::GetLane(hn::SumOfLanes(tag, dots));
  for (; i < d; ++i) {
    const float product = dy[i] * x[i];
    dot += product * (offset + weight[i]);
    dweight[i] += product * r;
  }
  const float share = r * r * r * dot / static_cast<float>(d);
  const auto shares = hn::Set(tag, share);
  for (i = 0; i + lanes <= d; i += lanes) {
    const auto w = hn::Add(offsets, hn::LoadU(tag, weight + i));
    const auto direct = hn::Mul(rs, hn::Mul(w, hn::LoadU(tag, dy + i)));
    hn::StoreU(hn::NegMulAdd(shares, hn::LoadU(tag, x + i), direct), tag, dx + i);
  }
  for (; i < d; ++i) dx[i] = r * (offset + weight[i]) * dy[i] - share * x[i];
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(normalise_row);
HWY_EXPORT(normalise_row_backward);

void compute(const ops::RmsNorm& op, Context& context) {
  const std::int64_t d = op.weight.shape[0];
  if (d == 0) return;
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* w = static_cast<const float*>(op.weight.data);
  auto* out = static_cast<float*>(op.y.data);
  const auto normalise = HWY_DYNAMIC_DISPATCH(normalise_row);
  parallel_ranges(context.threads, op.x.shape.elements() / d, 16384 / d + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      normalise(in + i * d, w, op.weight_offset, op.eps, d, out + i * d);
                    }
                  });
}

void compute(const ops::RmsNormBackward& op, Context& context) {
  const std::int64_t d = op.weight.shape[0];
  if (d == 0) return;
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* w = static_cast<const float*>(op.weight.data);
  const auto* dout = static_cast<const float*>(op.dy.data);
  auto* din = static_cast<float*>(op.dx.data);
  const auto backward = HWY_DYNAMIC_DISPATCH(normalise_row_backward);
  sum_over_rows(
      context, op.x.shape.elements() / d, d,
      [&](std::int64_t i, float* dweight) {
        backward(in + i * d, w, op.weight_offset, op.eps, dout + i * d, d, din + i * d, dweight);
      },
      [&](const float* dweight) {
        if (op.dweight.data != nullptr) add_to(op.dweight, dweight);
      });
}

}  // namespace gist::cpu
#endif
