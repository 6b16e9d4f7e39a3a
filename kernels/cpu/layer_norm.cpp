#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/layer_norm.cpp"
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

/// A row is normalised by its RowMoments.
struct RowMoments {
  float mean;
  float inverse_deviation;  // NaN where the row's values aren't all finite
};

/// The variance is taken in a second pass, around the mean, so that no digits cancel.
RowMoments moments_of(const float* x, float eps, std::int64_t d) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  auto sums = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= d; i += lanes) sums = hn::Add(sums, hn::LoadU(tag, x + i));
  float sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  for (; i < d; ++i) sum += x[i];
  const float mean = sum / static_cast<float>(d);

  const auto means = hn::Set(tag, mean);
  auto squares = hn::Zero(tag);
  for (i = 0; i + lanes <= d; i += lanes) {
    const auto difference = hn::Sub(hn::LoadU(tag, x + i), means);
    squares = hn::MulAdd(difference, difference, squares);
  }
  float square = hn::GetLane(hn::SumOfLanes(tag, squares));
  for (; i < d; ++i) square += (x[i] - mean) * (x[i] - mean);
  return {mean, 1 / std::sqrt(square / static_cast<float>(d) + eps) + square * 0};
}

/// y[d] = (x - mean) / deviation * weight[d] + bias[d]; null: ones, zeros. y may be x.
void layer_norm_row(const float* x, const float* weight, const float* bias, float eps,
                    std::int64_t d, float* y) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const RowMoments row = moments_of(x, eps, d);
  const auto each = [&](auto t, std::int64_t i) {
    auto value = hn::Mul(hn::Sub(hn::LoadU(t, x + i), hn::Set(t, row.mean)),
                         hn::Set(t, row.inverse_deviation));
    if (weight != nullptr) value = hn::Mul(value, hn::LoadU(t, weight + i));
    if (bias != nullptr) value = hn::Add(value, hn::LoadU(t, bias + i));
    hn::StoreU(value, t, y + i);
  };
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= d; i += lanes) each(tag, i);
  for (; i < d; ++i) each(one_lane, i);
}

/// With n = (x - mean) r, r = 1 / deviation and g = weight dy: dx = r (g - mean(g) - n mean(g n));
/// dweight += dy n, dbias += dy. Null: none. dx may be dy.
void layer_norm_row_backward(const float* x, const float* weight, float eps, const float* dy,
                             std::int64_t d, float* dx, float* dweight, float* dbias) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const RowMoments row = moments_of(x, eps, d);
  const auto normal = [&](auto t, std::int64_t i) {
    return hn::Mul(hn::Sub(hn::LoadU(t, x + i), hn::Set(t, row.mean)),
                   hn::Set(t, row.inverse_deviation));
  };
  const auto weighted = [&](auto t, std::int64_t i) {
    const auto gradient = hn::LoadU(t, dy + i);
    return weight == nullptr ? gradient : hn::Mul(gradient, hn::LoadU(t, weight + i));
  };
  const auto add_to = [](auto t, auto value, float* sums) {
    hn::StoreU(hn::Add(hn::LoadU(t, sums), value), t, sums);
  };
  const auto of_parameters = [&](auto t, std::int64_t i) {
    const auto gradient = hn::LoadU(t, dy + i);
    if (dweight != nullptr) add_to(t, hn::Mul(gradient, normal(t, i)), dweight + i);
    if (dbias != nullptr) add_to(t, gradient, dbias + i);
  };

  auto sums = hn::Zero(tag);
  auto dots = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= d; i += lanes) {
    const auto g = weighted(tag, i);
    sums = hn::Add(sums, g);
    dots = hn::MulAdd(g, normal(tag, i), dots);
    of_parameters(tag, i);
  }
  float sum = hn::GetLane(hn::SumOfLanes(tag, sums));
  float dot = hn::GetLane(hn::SumOfLanes(tag, dots));
  for (; i < d; ++i) {
    const float g = hn::GetLane(weighted(one_lane, i));
    sum += g;
    dot += g * hn::GetLane(normal(one_lane, i));
    of_parameters(one_lane, i);
  }

  const float mean = sum / static_cast<float>(d);
  const float share = dot / static_cast<float>(d);
  const auto each = [&](auto t, std::int64_t j) {
    const auto direct = hn::Sub(weighted(t, j), hn::Set(t, mean));
    const auto all = hn::NegMulAdd(hn::Set(t, share), normal(t, j), direct);
    hn::StoreU(hn::Mul(hn::Set(t, row.inverse_deviation), all), t, dx + j);
  };
  for (i = 0; i + lanes <= d; i += lanes) each(tag, i);
  for (; i < d; ++i) each(one_lane, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(layer_norm_row);
HWY_EXPORT(layer_norm_row_backward);

void compute(const ops::LayerNorm& op, Context& context) {
  const std::int64_t d = op.x.shape[op.x.shape.rank - 1];
  if (d == 0) return;
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* weight = static_cast<const float*>(op.weight.data);
  const auto* bias = static_cast<const float*>(op.bias.data);
  auto* out = static_cast<float*>(op.y.data);
  const auto normalise = HWY_DYNAMIC_DISPATCH(layer_norm_row);
  parallel_ranges(context.threads, op.x.shape.elements() / d, 16384 / d + 1,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      normalise(in + i * d, weight, bias, op.eps, d, out + i * d);
                    }
                  });
}

void compute(const ops::LayerNormBackward& op, Context& context) {
  const std::int64_t d = op.x.shape[op.x.shape.rank - 1];
  if (d == 0) return;
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* weight = static_cast<const float*>(op.weight.data);
  const auto* dout = static_cast<const float*>(op.dy.data);
  auto* din = static_cast<float*>(op.dx.data);
  const bool with_weight = op.dweight.data != nullptr, with_bias = op.dbias.data != nullptr;
  const auto backward = HWY_DYNAMIC_DISPATCH(layer_norm_row_backward);
  sum_over_rows(
      context, op.x.shape.elements() / d, 2 * d,  // of dweight, then of dbias
      [&](std::int64_t i, float* sums) {
        backward(in + i * d, weight, op.eps, dout + i * d, d, din + i * d,
                 with_weight ? sums : nullptr, with_bias ? sums + d : nullptr);
      },
      [&](const float* sums) {
        if (with_weight) add_to(op.dweight, sums);
        if (with_bias) add_to(op.dbias, sums + d);
      });
}

}  // namespace gist::cpu
#endif
