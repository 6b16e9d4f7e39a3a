#pragma once

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// Which of n rows go to which experts, k of them each. There are k copies of every row; they stand
/// grouped by expert, and within an expert in the order of the rows.
struct ExpertRouting {
  Tensor experts;  // i32 [n, k]: a row's experts, those of larger logits first
  Tensor places;   // i32 [n, k]: where its copies for them stand among all n k
  Tensor rows;     // i32 [n k]: the row whose copy stands at each place
  Tensor ends;     // i32 [experts]: where an expert's copies end, and the next one's begin
};

namespace ops {

/// Each row's k experts of largest logits, the first among equals, and how much each counts: its
/// probability, softmax(logits), which `normalised` divides by the sum of those chosen (Jiang et al.
/// 2024, section 2.1). A row with a logit that is NaN or infinite gets weights that are NaN.
struct ChooseExperts {
  static constexpr const char* name = "choose_experts";
  Tensor logits;  // [n, experts]
  bool normalised = true;
  ExpertRouting routing;
  Tensor weights;  // [n, k]
};

/// dlogits of the weights alone: which experts are chosen has no gradient.
struct ChooseExpertsBackward {
  static constexpr const char* name = "choose_experts_backward";
  Tensor logits;
  bool normalised = true;
  Tensor experts;   // as chosen, i32 [n, k]
  Tensor weights;   // [n, k]
  Tensor dweights;  // [n, k]
  Tensor dlogits;   // [n, experts]
};

void check(const ChooseExperts& op);
void check(const ChooseExpertsBackward& op);
OpCost cost(const ChooseExperts& op);
OpCost cost(const ChooseExpertsBackward& op);

}  // namespace ops
}  // namespace gist
