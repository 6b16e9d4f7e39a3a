#include "kernels/ops/divergence.h"

#include <algorithm>
#include <string_view>

#include "kernels/ops/check_divergence.h"
#include "kernels/ops/check_tensors.h"

namespace gist::ops {

GemmSizes sizes_of(const HeadInput& input) {
  return {input.hidden.shape[0], input.head->n(), input.head->k()};
}

void require_head(std::string_view op, std::string_view whose, const HeadInput& input) {
  if (input.head == nullptr) {
    fail(ErrorKind::internal, "{}: expected a head of the {}; found none", op, whose);
  }
  const GemmSizes s = sizes_of(input);
  if (input.hidden.shape.rank != 2 || !is_f32(input.hidden, {s.m, s.k}) ||
      (input.bias.data != nullptr && !is_f32(input.bias, {s.n}))) {
    refuse(op,
           fmt::format("of the {2} hidden f32 [m, {1}] and bias f32 [{0}] for a head [{0}, {1}]",
                       s.n, s.k, whose),
           {{"hidden", input.hidden}, {"bias", input.bias}});
  }
  require_number(op, "scale", input.scale);
  require_finite(op, "soft_cap", input.soft_cap, false);
}

void require_spec(std::string_view op, const DivergenceSpec& spec, std::int64_t vocabulary) {
  require_finite(op, "temperature", spec.temperature, true);
  if (spec.choices < 1 || spec.choices > vocabulary) {
    fail(ErrorKind::internal, "{}: expected 1 to {} choices; found {}", op, vocabulary,
         spec.choices);
  }
  const Tensor& excluded = spec.excluded;
  if (excluded.data != nullptr && (excluded.shape.rank != 1 || !is_i32(excluded, excluded.shape))) {
    refuse(op, "excluded i32 [e]", {{"excluded", excluded}});
  }
}

void require_share(std::string_view op, float weight) {
  if (!(weight >= 0 && weight <= 1)) {
    fail(ErrorKind::internal, "{}: expected a weight in [0, 1]; found {}", op, weight);
  }
}

namespace {

constexpr std::int64_t divergence_flops = 11;  // of a choice: two exponentials, sums, a term

}  // namespace

void check(const LinearDivergence& op) {
  require_head(op.name, "teacher", op.teacher);
  require_head(op.name, "student", op.student);
  const std::int64_t m = op.student.hidden.shape[0];
  require_spec(op.name, op.spec, std::min(sizes_of(op.student).n, sizes_of(op.teacher).n));
  if (op.teacher.hidden.shape[0] != m || !is_f32(op.divergence, {m}) ||
      !is_i32(op.teacher_best, {m}) || !is_i32(op.student_best, {m})) {
    refuse(op.name,
           "as many rows of the teacher as of the student, divergence f32 [m], teacher_best and "
           "student_best i32 [m]",
           {{"teacher", op.teacher.hidden},
            {"student", op.student.hidden},
            {"divergence", op.divergence},
            {"teacher_best", op.teacher_best},
            {"student_best", op.student_best}});
  }
}

void check(const DistillationGradient& op) {
  check(LinearCrossEntropyGradient{.hidden = op.hidden,
                                   .head = op.head,
                                   .bias = op.bias,
                                   .spec = op.cross_entropy,
                                   .labels = op.labels,
                                   .loss = op.loss,
                                   .dhidden = op.dhidden,
                                   .dhead = op.dhead,
                                   .dbias = op.dbias});
  require_head(op.name, "teacher", op.teacher);
  const std::int64_t m = op.hidden.shape[0];
  require_spec(op.name, op.spec, std::min(op.head.shape[0], sizes_of(op.teacher).n));
  if (op.teacher.hidden.shape[0] != m || !is_f32(op.divergence, {m})) {
    refuse(op.name, "as many rows of the teacher as of the student, and divergence f32 [m]",
           {{"teacher", op.teacher.hidden}, {"student", op.hidden}, {"divergence", op.divergence}});
  }
  require_share(op.name, op.weight);
}

OpCost cost(const LinearDivergence& op) {
  const GemmSizes teacher = sizes_of(op.teacher), student = sizes_of(op.student);
  const std::int64_t flops = product_flops(teacher, op.teacher.bias) +
                             product_flops(student, op.student.bias) +
                             divergence_flops * student.m * op.spec.choices;
  return one_call(flops,
                  {&op.teacher.hidden, &op.teacher.bias, &op.student.hidden, &op.student.bias,
                   &op.spec.excluded},
                  {&op.divergence, &op.teacher_best, &op.student_best},
                  static_cast<std::int64_t>(op.teacher.head->bytes() + op.student.head->bytes()));
}

OpCost cost(const DistillationGradient& op) {
  const GemmSizes teacher = sizes_of(op.teacher), student = op.sizes();
  const std::int64_t softmax = 5 * student.m * student.n;
  const std::int64_t products = op.dhead.data == nullptr ? 2 : 3;
  const std::int64_t flops = product_flops(teacher, op.teacher.bias) +
                             products * product_flops(student, op.bias) + softmax +
                             divergence_flops * student.m * op.spec.choices;
  return one_call(flops,
                  {&op.hidden, &op.head, &op.bias, &op.teacher.hidden, &op.teacher.bias,
                   &op.spec.excluded, &op.labels, &op.dhead, &op.dbias},
                  {&op.loss, &op.divergence, &op.dhidden, &op.dhead, &op.dbias},
                  static_cast<std::int64_t>(op.teacher.head->bytes()));
}

}  // namespace gist::ops
