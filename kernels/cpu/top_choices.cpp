#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/top_choices.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

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

namespace {

constexpr float excluded_logit = -std::numeric_limits<float>::infinity();

std::span<const std::int32_t> excluded_ids(const DivergenceSpec& spec) {
  if (spec.excluded.data == nullptr) return {};
  return {static_cast<const std::int32_t*>(spec.excluded.data),
          static_cast<std::size_t>(spec.excluded.shape[0])};
}

/// A choice, and its logit or what is made of it.
struct Choice {
  std::int32_t id;
  float value;
};

/// Takes the excluded ids' logits out of a row, and keeps them in `taken`, an id twice as well.
void take_excluded(const DivergenceSpec& spec, float* row, std::vector<Choice>& taken) {
  taken.clear();
  for (const std::int32_t id : excluded_ids(spec)) {
    if (id >= 0 && id < spec.choices) taken.push_back({id, row[id]});
  }
  for (const Choice& each : taken) row[each.id] = excluded_logit;
}

/// The logarithm of the sum of exp(z) over a row's choices, to which excluded ones add nothing.
float log_sum_of(const float* row, std::int64_t choices) {
  const float peak = *std::max_element(row, row + choices);
  return peak + std::log(HWY_DYNAMIC_DISPATCH(sum_of_exponentials)(row, choices, peak));
}

/// Computes z of a row in place. Returns its largest value, or NaN where one isn't finite.
float finished_logits(float* row, std::int64_t vocabulary, float scale, float soft_cap) {
  if (scale != 1 || soft_cap > 0) {
    HWY_DYNAMIC_DISPATCH(scale_and_cap_values)(row, vocabulary, scale, soft_cap, row);
  }
  return HWY_DYNAMIC_DISPATCH(largest_value)(row, vocabulary);
}

/// The k largest logits of a row, the largest first. `best` is memory.
void find_largest(const float* row, std::int64_t choices, std::size_t k,
                  std::vector<Choice>& best) {
  const auto before = [](const Choice& a, const Choice& b) {
    return a.value != b.value ? a.value > b.value : a.id < b.id;
  };
  best.clear();  // a heap, whose front is the least of them
  for (std::int64_t i = 0; i < choices; ++i) {
    // Of equal logits those before this one are better.
    if (row[i] == excluded_logit || (best.size() == k && !(row[i] > best.front().value))) continue;
    if (best.size() == k) {
      std::pop_heap(best.begin(), best.end(), before);
      best.pop_back();
    }
    best.push_back({static_cast<std::int32_t>(i), row[i]});
    std::push_heap(best.begin(), best.end(), before);
  }
  std::sort(best.begin(), best.end(), before);
}

/// The derivative of the cap at a capped logit.
float slope(float z, const CrossEntropySpec& spec) {
  const float ratio = spec.soft_cap > 0 ? z / spec.soft_cap : 0;
  return spec.scale * (1 - ratio * ratio);
}

/// What a thread keeps of a row.
struct RowMemory {
  std::vector<Choice> excluded, known;
};

/// One row after the other of a student's logits: their losses, and in their place their gradient.
class TopDistillationRows {
 public:
  explicit TopDistillationRows(const ops::TopDistillation& op)
      : op_(op),
        vocabulary_(op.head.shape[0]),
        k_(op.teacher.ids.shape[1]),
        of_label_(1 - op.cross_entropy.label_smoothing),
        of_each_(op.cross_entropy.label_smoothing / static_cast<float>(vocabulary_)),
        of_labels_(op.cross_entropy.factor * (1 - op.weight)),
        of_teacher_(op.cross_entropy.factor * op.weight) {}

  void compute(std::int64_t row, float* z, RowMemory& memory) const {
    const CrossEntropySpec& spec = op_.cross_entropy;
    const std::int32_t label = static_cast<const std::int32_t*>(op_.labels.data)[row];
    const float peak = finished_logits(z, vocabulary_, spec.scale, spec.soft_cap);
    const float log_sum =
        peak + std::log(HWY_DYNAMIC_DISPATCH(sum_of_exponentials)(z, vocabulary_, peak));
    const float wanted = z[label];
    float loss = log_sum - of_label_ * wanted;
    if (of_each_ > 0) loss -= of_each_ * HWY_DYNAMIC_DISPATCH(sum_of_values)(z, vocabulary_);
    static_cast<float*>(op_.loss.data)[row] = loss;

    take_excluded(op_.spec, z, memory.excluded);
    const float choices_log_sum = log_sum_of(z, op_.spec.choices);
    double divergence = 0, mass = 0;
    const auto* ids = static_cast<const std::int32_t*>(op_.teacher.ids.data) + row * k_;
    const auto* log_p = static_cast<const float*>(op_.teacher.log_p.data) + row * k_;
    memory.known.clear();
    for (std::int64_t j = 0; j < k_; ++j) {
      const std::int32_t id = ids[j];
      if (id < 0 || id >= op_.spec.choices || z[id] == excluded_logit) continue;
      const float p = std::exp(log_p[j]);
      mass += p;
      divergence += double{p} * (log_p[j] - (z[id] - choices_log_sum));
      memory.known.push_back({id, of_teacher_ * p * slope(z[id], spec)});
    }
    static_cast<float*>(op_.divergence.data)[row] = static_cast<float>(divergence) + peak * 0;
    if (op_.dhidden.data == nullptr) return;
    put_gradient(z, log_sum, choices_log_sum, static_cast<float>(mass), memory);
    z[label] -= of_label_ * of_labels_ * slope(wanted, spec);
    for (const Choice& each : memory.known) z[each.id] -= each.value;
  }

 private:
  /// All of the gradient but what single ids add to it. Where exp(z - log_sum) is p', the softmax
  /// over all ids, and q = exp(z - choices_log_sum), p' is q times a constant of the row:
  ///   of_labels (p' - of_each) + of_teacher mass q = weight_of_q (q - spread)
  void put_gradient(float* z, float log_sum, float choices_log_sum, float mass,
                    const RowMemory& memory) const {
    const std::int64_t choices = op_.spec.choices;
    const CrossEntropySpec& spec = op_.cross_entropy;
    CrossEntropySpec of_labels_alone = spec, of_both = spec;
    of_labels_alone.factor = of_labels_;
    of_both.factor = of_labels_ * std::exp(choices_log_sum - log_sum) + of_teacher_ * mass;
    const float spread = of_both.factor == 0 ? 0 : of_labels_ * of_each_ / of_both.factor;
    const auto gradient = HWY_DYNAMIC_DISPATCH(softmax_gradient);
    gradient(z, choices, choices_log_sum, spread, of_both);
    gradient(z + choices, vocabulary_ - choices, log_sum, of_each_, of_labels_alone);
    for (const Choice& each : memory.excluded) {
      z[each.id] =
          of_labels_ * (std::exp(each.value - log_sum) - of_each_) * slope(each.value, spec);
    }
  }

  const ops::TopDistillation& op_;
  std::int64_t vocabulary_, k_;
  float of_label_, of_each_;      // what a label's target gives to it, and to each id besides
  float of_labels_, of_teacher_;  // the parts of the gradient, with its factor
};

}  // namespace

void compute(const ops::LinearTopChoices& op, Context& context) {
  const HeadInput& input = op.input;
  const std::int64_t m = input.hidden.shape[0], vocabulary = input.head->n();
  const std::int64_t k = op.top.ids.shape[1];
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  auto* logits = context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * vocabulary));
  const auto each = [&](std::int64_t row, float* z, RowMemory& memory) {
    auto* ids = static_cast<std::int32_t*>(op.top.ids.data) + row * k;
    auto* log_p = static_cast<float*>(op.top.log_p.data) + row * k;
    const float peak = finished_logits(z, vocabulary, input.scale, input.soft_cap);
    if (std::isnan(peak)) {  // numbers that are none have no order
      std::fill(ids, ids + k, -1);
      std::fill(log_p, log_p + k, peak);
      return;
    }
    take_excluded(op.spec, z, memory.excluded);
    const float log_sum = log_sum_of(z, op.spec.choices);
    find_largest(z, op.spec.choices, static_cast<std::size_t>(k), memory.known);
    memory.known.resize(static_cast<std::size_t>(k), {-1, excluded_logit});
    for (const Choice& found : memory.known) {
      *ids++ = found.id;
      *log_p++ = found.value - log_sum;
    }
  };
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    context.gemm.run(input.hidden.rows(first, first + rows), *input.head, input.bias,
                     {logits, Dtype::f32, {rows, vocabulary}});
    parallel_ranges(context.threads, rows, rows_of_a_thread(vocabulary),
                    [&](std::int64_t begin, std::int64_t end) {
                      RowMemory memory;
                      for (std::int64_t i = begin; i < end; ++i) {
                        each(first + i, logits + i * vocabulary, memory);
                      }
                    });
  }
}

void compute(const ops::TopDistillation& op, Context& context) {
  const std::int64_t m = op.hidden.shape[0], vocabulary = op.head.shape[0];
  require_within(op.name, "labels", op.labels, vocabulary);
  const PlainMatrix matrix(op.head);
  const std::int64_t chunk = chunk_rows(m, vocabulary);
  auto* logits = context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * vocabulary));
  const TopDistillationRows computed(op);
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    const Tensor states = op.hidden.rows(first, first + rows);
    const Tensor values{logits, Dtype::f32, {rows, vocabulary}};
    context.gemm.run(states, matrix, op.bias, values);
    parallel_ranges(context.threads, rows, rows_of_a_thread(vocabulary),
                    [&](std::int64_t begin, std::int64_t end) {
                      RowMemory memory;
                      for (std::int64_t i = begin; i < end; ++i) {
                        computed.compute(first + i, logits + i * vocabulary, memory);
                      }
                    });
    if (op.dhidden.data == nullptr) continue;
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
