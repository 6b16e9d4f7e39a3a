#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/cross_entropy.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/logit_chunks.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
// Must follow highway.h.
#include "kernels/cpu/logit_vectors-inl.h"

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(scale_and_cap_values);
HWY_EXPORT(largest_value);
HWY_EXPORT(sum_of_exponentials);
HWY_EXPORT(sum_of_values);
HWY_EXPORT(softmax_gradient);

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
    parallel_ranges(context.threads, rows, rows_of_a_thread(vocabulary),
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
    parallel_ranges(context.threads, rows, rows_of_a_thread(vocabulary),
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
    context.gemm.plain().run({logits}, {op.head.data, false, op.head.dtype}, rows, op.head.shape[1],
                             vocabulary, false,
                             static_cast<float*>(op.dhidden.rows(first, first + rows).data));
    if (op.dhead.data == nullptr) continue;
    compute(ops::GemmWeightGradient{.dy = values, .x = states, .dw = op.dhead, .dbias = op.dbias},
            context);
  }
}

}  // namespace gist::cpu
#endif
