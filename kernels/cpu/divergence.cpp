#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/divergence.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/divergence_row.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/logit_chunks.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
// Must follow highway.h.
#include "kernels/cpu/logit_vectors-inl.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// The largest logits of the choices among n ids.
OfBoth largest_choices(const float* teacher, const float* student, std::int64_t n) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto each = [&](auto d, std::int64_t i, auto& p, auto& q) {
    const auto t = hn::LoadU(d, teacher + i);
    const auto hidden = hn::Eq(t, hn::Set(d, no_choice));
    p = hn::Max(p, t);
    q = hn::Max(q, hn::IfThenElse(hidden, t, hn::LoadU(d, student + i)));
  };
  auto p = hn::Set(tag, no_choice), q = p;
  auto p_last = hn::Set(one_lane, no_choice), q_last = p_last;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i, p, q);
  for (; i < n; ++i) each(one_lane, i, p_last, q_last);
  return {std::max(hn::GetLane(hn::MaxOfLanes(tag, p)), hn::GetLane(p_last)),
          std::max(hn::GetLane(hn::MaxOfLanes(tag, q)), hn::GetLane(q_last))};
}

/// The sums over the choices of exp((logit - peak) * rate).
OfBoth sums_of_choices(const float* teacher, const float* student, std::int64_t n, OfBoth peaks,
                       float rate) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto each = [&](auto d, std::int64_t i, auto& p, auto& q) {
    const auto t = hn::LoadU(d, teacher + i);
    const auto hidden = hn::Eq(t, hn::Set(d, no_choice));
    const auto from_peak = [&](auto z, float peak) {
      const auto shifted = hn::Mul(hn::Sub(z, hn::Set(d, peak)), hn::Set(d, rate));
      return hn::IfThenZeroElse(hidden, hn::Exp(d, shifted));
    };
    p = hn::Add(p, from_peak(t, peaks.teacher));
    q = hn::Add(q, from_peak(hn::LoadU(d, student + i), peaks.student));
  };
  auto p = hn::Zero(tag), q = p;
  auto p_last = hn::Zero(one_lane), q_last = p_last;
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i, p, q);
  for (; i < n; ++i) each(one_lane, i, p_last, q_last);
  return {hn::GetLane(hn::SumOfLanes(tag, p)) + hn::GetLane(p_last),
          hn::GetLane(hn::SumOfLanes(tag, q)) + hn::GetLane(q_last)};
}

/// exp(-x) - 1 + x for small x, where the difference would lose most of it: by its series.
template <class D, class V>
HWY_INLINE V small_excess(D d, V x) {
  auto series = hn::MulAdd(x, hn::Set(d, -1.0F / 5040), hn::Set(d, 1.0F / 720));
  for (const float next : {-1.0F / 120, 1.0F / 24, -1.0F / 6, 0.5F}) {
    series = hn::MulAdd(x, series, hn::Set(d, next));
  }
  return hn::Mul(hn::Mul(x, x), series);
}

/// Returns KL(teacher || student) over the choices among n ids, and where `gradient` is given,
/// leaves in `student` the gradient by what gave its logits.
float divergence_of_choices(const float* teacher, float* student, std::int64_t n,
                            const ChoiceShifts& shifts, const StudentGradient* gradient) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  const auto each = [&](auto d, std::int64_t i, auto& sum) {
    const auto t = hn::LoadU(d, teacher + i);
    const auto z = hn::LoadU(d, student + i);
    const auto hidden = hn::Eq(t, hn::Set(d, no_choice));
    const auto rate = hn::Set(d, shifts.rate);
    const auto log_p = hn::MulSub(hn::Sub(t, hn::Set(d, shifts.peaks.teacher)), rate,
                                  hn::Set(d, shifts.log_sums.teacher));
    const auto log_q = hn::MulSub(hn::Sub(z, hn::Set(d, shifts.peaks.student)), rate,
                                  hn::Set(d, shifts.log_sums.student));
    const auto p = hn::IfThenZeroElse(hidden, hn::Exp(d, log_p));
    const auto q = hn::IfThenZeroElse(hidden, hn::Exp(d, log_q));
    const auto log_ratio = hn::Sub(log_p, log_q);
    const auto near = hn::Lt(hn::Abs(log_ratio), hn::Set(d, 0.25F));
    // p (exp(-log_ratio) - 1 + log_ratio), in which p exp(-log_ratio) is q.
    const auto far_term = hn::MulAdd(p, hn::Sub(log_ratio, hn::Set(d, 1.0F)), q);
    const auto near_term = hn::Mul(p, small_excess(d, log_ratio));
    sum = hn::Add(sum, hn::IfThenZeroElse(hidden, hn::IfThenElse(near, near_term, far_term)));
    if (gradient == nullptr) return;
    const CrossEntropySpec& spec = gradient->cross_entropy;
    const auto of_all = hn::Exp(d, hn::Sub(z, hn::Set(d, gradient->log_sum)));
    auto result = hn::Mul(hn::Sub(of_all, hn::Set(d, gradient->spread)),
                          hn::Set(d, spec.factor * gradient->of_labels));
    result = hn::MulAdd(hn::Sub(q, p), hn::Set(d, spec.factor * gradient->of_teacher), result);
    result = hn::Mul(result, hn::Set(d, spec.scale));
    if (spec.soft_cap > 0) {
      const auto ratio = hn::Mul(z, hn::Set(d, 1 / spec.soft_cap));
      result = hn::Mul(result, hn::NegMulAdd(ratio, ratio, hn::Set(d, 1.0F)));
    }
    hn::StoreU(result, d, student + i);
  };
  auto sum = hn::Zero(tag);
  auto last = hn::Zero(one_lane);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i, sum);
  for (; i < n; ++i) each(one_lane, i, last);
  return hn::GetLane(hn::SumOfLanes(tag, sum)) + hn::GetLane(last);
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
HWY_EXPORT(largest_choices);
HWY_EXPORT(sums_of_choices);
HWY_EXPORT(divergence_of_choices);

namespace {

/// Computes z of a row in place. Returns its largest value, or NaN where one isn't finite.
float finish_logits(float* row, std::int64_t vocabulary, float scale, float soft_cap) {
  if (scale != 1 || soft_cap > 0) {
    HWY_DYNAMIC_DISPATCH(scale_and_cap_values)(row, vocabulary, scale, soft_cap, row);
  }
  return HWY_DYNAMIC_DISPATCH(largest_value)(row, vocabulary);
}

void exclude(const DivergenceSpec& spec, float* teacher) {
  if (spec.excluded.data == nullptr) return;
  const auto* ids = static_cast<const std::int32_t*>(spec.excluded.data);
  for (std::int64_t i = 0; i < spec.excluded.shape[0]; ++i) {
    if (ids[i] >= 0 && ids[i] < spec.choices) teacher[ids[i]] = no_choice;
  }
}

ChoiceShifts shifts_of(const float* teacher, const float* student, const DivergenceSpec& spec) {
  ChoiceShifts shifts{};
  shifts.rate = 1 / spec.temperature;
  shifts.peaks = HWY_DYNAMIC_DISPATCH(largest_choices)(teacher, student, spec.choices);
  const OfBoth sums = HWY_DYNAMIC_DISPATCH(sums_of_choices)(teacher, student, spec.choices,
                                                            shifts.peaks, shifts.rate);
  shifts.log_sums = {std::log(sums.teacher), std::log(sums.student)};
  return shifts;
}

/// The first choice whose logit is the largest; 0 where there is none, of NaN.
std::int32_t first_choice(const float* teacher, const float* logits, std::int64_t choices,
                          float peak) {
  for (std::int64_t i = 0; i < choices; ++i) {
    if (logits[i] == peak && teacher[i] != no_choice) return static_cast<std::int32_t>(i);
  }
  return 0;
}

void compute_logits(const HeadInput& input, std::int64_t first, std::int64_t rows, float* logits,
                    Gemm& gemm) {
  gemm.run(input.hidden.rows(first, first + rows), *input.head, input.bias,
           {logits, Dtype::f32, {rows, input.head->n()}});
}

}  // namespace

void compute(const ops::LinearDivergence& op, Context& context) {
  const std::int64_t m = op.student.hidden.shape[0];
  const std::int64_t teachers = op.teacher.head->n(), students = op.student.head->n();
  const std::int64_t chunk = chunk_rows(m, teachers + students);
  auto* teacher_logits =
      context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * (teachers + students)));
  float* student_logits = teacher_logits + chunk * teachers;
  auto* divergences = static_cast<float*>(op.divergence.data);
  auto* teacher_best = static_cast<std::int32_t*>(op.teacher_best.data);
  auto* student_best = static_cast<std::int32_t*>(op.student_best.data);
  const auto diverge = HWY_DYNAMIC_DISPATCH(divergence_of_choices);
  const auto each = [&](std::int64_t row, std::int64_t i) {
    float* t = teacher_logits + i * teachers;
    float* z = student_logits + i * students;
    // What isn't finite is NaN in both, and so in the divergence.
    const float spoilt = finish_logits(t, teachers, op.teacher.scale, op.teacher.soft_cap) * 0 +
                         finish_logits(z, students, op.student.scale, op.student.soft_cap) * 0;
    exclude(op.spec, t);
    const ChoiceShifts shifts = shifts_of(t, z, op.spec);
    teacher_best[row] = first_choice(t, t, op.spec.choices, shifts.peaks.teacher);
    student_best[row] = first_choice(t, z, op.spec.choices, shifts.peaks.student);
    divergences[row] = diverge(t, z, op.spec.choices, shifts, nullptr) + spoilt;
  };
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    compute_logits(op.teacher, first, rows, teacher_logits, context.gemm);
    compute_logits(op.student, first, rows, student_logits, context.gemm);
    parallel_ranges(context.threads, rows, rows_of_a_thread(teachers + students),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) each(first + i, i);
                    });
  }
}

void compute(const ops::DistillationGradient& op, Context& context) {
  const std::int64_t m = op.hidden.shape[0];
  const std::int64_t teachers = op.teacher.head->n(), students = op.head.shape[0];
  require_within(op.name, "labels", op.labels, students);
  const PlainMatrix matrix(op.head);
  const std::int64_t chunk = chunk_rows(m, teachers + students);
  auto* teacher_logits =
      context.scratch.reserve_array<float>(static_cast<std::size_t>(chunk * (teachers + students)));
  float* student_logits = teacher_logits + chunk * teachers;
  const auto* label = static_cast<const std::int32_t*>(op.labels.data);
  auto* losses = static_cast<float*>(op.loss.data);
  auto* divergences = static_cast<float*>(op.divergence.data);
  const CrossEntropySpec& spec = op.cross_entropy;
  const std::int64_t choices = op.spec.choices;
  const float of_label = 1 - spec.label_smoothing;
  const float of_each = spec.label_smoothing / static_cast<float>(students);
  CrossEntropySpec of_labels_alone = spec;
  of_labels_alone.factor *= 1 - op.weight;
  const auto each = [&](std::int64_t row, std::int64_t i) {
    float* t = teacher_logits + i * teachers;
    float* z = student_logits + i * students;
    const float spoilt = finish_logits(t, teachers, op.teacher.scale, op.teacher.soft_cap) * 0;
    const float peak = finish_logits(z, students, spec.scale, spec.soft_cap);
    const float log_sum =
        peak + std::log(HWY_DYNAMIC_DISPATCH(sum_of_exponentials)(z, students, peak));
    const float wanted = z[label[row]];
    losses[row] = log_sum - of_label * wanted;
    if (of_each > 0) losses[row] -= of_each * HWY_DYNAMIC_DISPATCH(sum_of_values)(z, students);
    exclude(op.spec, t);
    const StudentGradient gradient{spec, log_sum, of_each, 1 - op.weight,
                                   op.weight * op.spec.temperature};
    const ChoiceShifts shifts = shifts_of(t, z, op.spec);
    divergences[row] =
        HWY_DYNAMIC_DISPATCH(divergence_of_choices)(t, z, choices, shifts, &gradient) + spoilt +
        peak * 0;
    HWY_DYNAMIC_DISPATCH(softmax_gradient)
    (z + choices, students - choices, log_sum, of_each, of_labels_alone);
    const float ratio = spec.soft_cap > 0 ? wanted / spec.soft_cap : 0;
    z[label[row]] -= of_label * of_labels_alone.factor * spec.scale * (1 - ratio * ratio);
  };
  for (std::int64_t first = 0; first < m; first += chunk) {
    const std::int64_t rows = std::min(chunk, m - first);
    const Tensor states = op.hidden.rows(first, first + rows);
    const Tensor values{student_logits, Dtype::f32, {rows, students}};
    compute_logits(op.teacher, first, rows, teacher_logits, context.gemm);
    context.gemm.run(states, matrix, op.bias, values);
    parallel_ranges(context.threads, rows, rows_of_a_thread(teachers + students),
                    [&](std::int64_t begin, std::int64_t end) {
                      for (std::int64_t i = begin; i < end; ++i) each(first + i, i);
                    });
    context.gemm.plain().run({student_logits}, {op.head.data, false, op.head.dtype}, rows,
                             op.head.shape[1], students, false,
                             static_cast<float*>(op.dhidden.rows(first, first + rows).data));
    if (op.dhead.data == nullptr) continue;
    compute(ops::GemmWeightGradient{.dy = values, .x = states, .dw = op.dhead, .dbias = op.dbias},
            context);
  }
}

}  // namespace gist::cpu
#endif
