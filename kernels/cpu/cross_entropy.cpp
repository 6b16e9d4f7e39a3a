#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// y[n] = soft_cap * tanh(scale x / soft_cap), or scale x where soft_cap is 0; y may be x
void scale_and_cap_values(const float* x, std::int64_t n, float scale, float soft_cap, float* y) {
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
float largest_value(const float* x, std::int64_t n) {
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
float sum_of_exponentials(const float* x, std::int64_t n, float shift) {
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

float sum_of_values(const float* x, std::int64_t n) {
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
void softmax_gradient(float* x, std::int64_t n, float shift, float spread,
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

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(scale_and_cap_values);
HWY_EXPORT(largest_value);
HWY_EXPORT(sum_of_exponentials);
HWY_EXPORT(sum_of_values);
HWY_EXPORT(softmax_gradient);

namespace {

/// Logits of a chunk of rows stay about this small, so that they don't leave the cache.
constexpr std::int64_t chunk_values = std::int64_t{2} << 20;
constexpr std::int64_t min_chunk_rows = 32;  // fewer rows would leave the matrix product slow
constexpr std::int64_t max_chunk_rows = 1024;

std::int64_t chunk_rows(std::int64_t rows, std::int64_t vocabulary) {
  return std::min(rows, std::clamp(chunk_values / vocabulary, min_chunk_rows, max_chunk_rows));
}

}  // namespace

void compute(const ops::ScaleAndCap& op, Context& context) {
  const auto* from = static_cast<const float*>(op.x.data);
  auto* to = static_cast<float*>(op.y.data);
  const auto apply = HWY_DYNAMIC_DISPATCH(scale_and_cap_values);
  parallel_ranges(context.threads, op.x.shape.elements(), 16384,
                  [&](std::int64_t begin, std::int64_t end) {
                    apply(from + begin, end - begin, op.scale, op.soft_cap, to + begin);
                  });
}

void compute(const ops::LinearCrossEntropy& op, Context& context) {
  const std::int64_t m = op.hidden.shape[0];
  const std::int64_t vocabulary = op.head.n();
  require_within(op.name, "labels", op.labels, vocabulary);
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  auto* logits = context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * vocabulary));
  const auto* label = static_cast<const std::int32_t*>(op.labels.data);
  auto* losses = static_cast<float*>(op.loss.data);
  const float scale = op.scale, soft_cap = op.soft_cap;
  auto* best_ids = static_cast<std::int32_t*>(op.best.data);
  const auto cap = HWY_DYNAMIC_DISPATCH(scale_and_cap_values);
  const auto largest = HWY_DYNAMIC_DISPATCH(largest_value);
  const auto sum = HWY_DYNAMIC_DISPATCH(sum_of_exponentials);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    context.gemm.run(op.hidden.rows(first, first + rows), op.head, op.bias,
                     Tensor{logits, Dtype::f32, {rows, vocabulary}});
    parallel_ranges(context.threads, rows, 16384 / vocabulary + 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        float* row = logits + i * vocabulary;
                        if (scale != 1 || soft_cap > 0) cap(row, vocabulary, scale, soft_cap, row);
                        const float peak = largest(row, vocabulary);
                        const float log_sum = peak + std::log(sum(row, vocabulary, peak));
                        losses[first + i] = log_sum - row[label[first + i]];
                        const auto best_id = std::find(row, row + vocabulary, peak) - row;
                        best_ids[first + i] =
                            static_cast<std::int32_t>(best_id % vocabulary);  // NaN: none found
                      }
                    });
  }
}

void compute(const ops::LinearCrossEntropyGradient& op, Context& context) {
  const std::int64_t m = op.hidden.shape[0];
  const std::int64_t vocabulary = op.head.shape[0];
  require_within(op.name, "labels", op.labels, vocabulary);
  const PlainMatrix matrix(op.head);
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  auto* logits = context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * vocabulary));
  const auto* label = static_cast<const std::int32_t*>(op.labels.data);
  auto* losses = static_cast<float*>(op.loss.data);
  const auto cap = HWY_DYNAMIC_DISPATCH(scale_and_cap_values);
  const auto largest = HWY_DYNAMIC_DISPATCH(largest_value);
  const auto sum = HWY_DYNAMIC_DISPATCH(sum_of_exponentials);
  const auto sum_values = HWY_DYNAMIC_DISPATCH(sum_of_values);
  const auto gradient = HWY_DYNAMIC_DISPATCH(softmax_gradient);
  const float scale = op.spec.scale, soft_cap = op.spec.soft_cap;
  const float of_label = 1 - op.spec.label_smoothing;
  const float of_each = op.spec.label_smoothing / static_cast<float>(vocabulary);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    const Tensor states = op.hidden.rows(first, first + rows);
    const Tensor values{logits, Dtype::f32, {rows, vocabulary}};
    context.gemm.run(states, matrix, op.bias, values);
    parallel_ranges(context.threads, rows, 16384 / vocabulary + 1,
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) {
                        float* row = logits + i * vocabulary;
                        if (scale != 1 || soft_cap > 0) cap(row, vocabulary, scale, soft_cap, row);
                        const float peak = largest(row, vocabulary);
                        const float log_sum = peak + std::log(sum(row, vocabulary, peak));
                        float& wanted = row[label[first + i]];
                        losses[first + i] = log_sum - of_label * wanted;
                        if (of_each > 0) losses[first + i] -= of_each * sum_values(row, vocabulary);
                        const float ratio = soft_cap > 0 ? wanted / soft_cap : 0;
                        gradient(row, vocabulary, log_sum, of_each, op.spec);
                        wanted -= of_label * op.spec.factor * scale * (1 - ratio * ratio);
                      }
                    });
    context.gemm.plain().run({logits}, {static_cast<const float*>(op.head.data)}, rows,
                             op.head.shape[1], vocabulary, false,
                             static_cast<float*>(op.dhidden.rows(first, first + rows).data));
    compute(ops::GemmWeightGradient{.dy = values,
                                    .x = states,
                                    .dw = op.dhead,
                                    .dbias = op.bias.data == nullptr ? Tensor{} : op.dbias},
            context);
  }
}

}  // namespace gist::cpu
#endif
