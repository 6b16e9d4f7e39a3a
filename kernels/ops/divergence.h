// How far the next-token distributions of a student are from a teacher's, and what a student learns
// from them (Hinton, Vinyals and Dean 2015, "Distilling the Knowledge in a Neural Network"): both
// models' logits come in chunks of rows, and neither's ever exist whole.
#pragma once

#include "kernels/matrix.h"
#include "kernels/ops/cost.h"
#include "kernels/ops/cross_entropy.h"
#include "kernels/ops/gemm.h"
#include "kernels/tensor.h"

namespace gist {

/// What the logits of m rows are made of: z = soft_cap(scale * (hidden head^T + bias)), as
/// CrossEntropySpec has it.
struct HeadInput {
  Tensor hidden;                 // [m, d]
  const Matrix* head = nullptr;  // [vocabulary, d]; never null in an operation
  Tensor bias = {};              // [vocabulary]; may have no data
  float scale = 1;
  float soft_cap = 0;
};

/// The distributions that are compared: softmax(z / temperature) over the ids below `choices`
/// without the excluded ones. At least one id must be left.
struct DivergenceSpec {
  float temperature = 1;
  std::int64_t choices = 0;  // at most the smaller of the two vocabularies
  Tensor excluded = {};      // i32 [e]; may have no data; ids that are no choice change nothing
};

namespace ops {

/// divergence[i] = KL(teacher || student) = sum of p (log p - log q), in nats, and each model's
/// choice that has the largest logit, of equal ones the first. Terms are summed as
/// p (log p - log q) - p + q, none of which is below 0, so that small divergences are as exact as
/// large ones. A logit that isn't finite makes its row's divergence NaN.
struct LinearDivergence {
  static constexpr const char* name = "linear_divergence";
  HeadInput teacher;
  HeadInput student;
  DivergenceSpec spec;
  Tensor divergence;    // [m]
  Tensor teacher_best;  // i32 [m]
  Tensor student_best;  // i32 [m]
};

/// The losses of a student with a head [vocabulary, d] where it stands: loss[m] as
/// LinearCrossEntropyGradient's, divergence[m] as LinearDivergence's, and the gradients of
///   cross_entropy.factor * sum of ((1 - weight) loss + weight temperature^2 divergence)
/// by what is the student's. The teacher has none.
struct DistillationGradient {
  static constexpr const char* name = "distillation_gradient";
  Tensor hidden;     // [m, d]
  Tensor head;       // [vocabulary, d]
  Tensor bias = {};  // [vocabulary]; may have no data
  CrossEntropySpec cross_entropy = {};
  HeadInput teacher;
  DivergenceSpec spec;
  float weight = 1;  // in [0, 1]
  Tensor labels;     // i32 [m]
  Tensor loss;       // [m]
  Tensor divergence;
  Tensor dhidden;
  Tensor dhead = {};  // without data: none
  Tensor dbias = {};  // likewise, and only where there is a bias

  GemmSizes sizes() const { return {hidden.shape[0], head.shape[0], head.shape[1]}; }
};

void check(const LinearDivergence& op);
void check(const DistillationGradient& op);
OpCost cost(const LinearDivergence& op);
OpCost cost(const DistillationGradient& op);

}  // namespace ops
}  // namespace gist
