// The likeliest next tokens that a model expects, and what a student learns from them where the
// model itself is elsewhere: of each row's distribution only the k largest probabilities are kept.
#pragma once

#include "kernels/ops/cost.h"
#include "kernels/ops/cross_entropy.h"
#include "kernels/ops/divergence.h"
#include "kernels/ops/gemm.h"
#include "kernels/tensor.h"

namespace gist {

/// Of m rows the k likeliest ids, each id at most once in a row, and the natural logarithms of
/// their probabilities. An id of -1 stands for nothing.
struct TopChoices {
  Tensor ids = {};    // i32 [m, k]
  Tensor log_p = {};  // [m, k]
};

namespace ops {

/// The likeliest of softmax(z) over the choices, the likeliest first, of equal logits the smallest
/// id; -1 and -infinity behind the last choice. Where a logit isn't finite, all ids of its row are -1
/// and all log_p NaN.
struct LinearTopChoices {
  static constexpr const char* name = "linear_top_choices";
  HeadInput input;
  DivergenceSpec spec;  // its temperature is 1
  TopChoices top;
};

/// DistillationGradient with a teacher of whom the likeliest choices are known, at temperature 1:
///   divergence[i] = sum over the row's ids of p (log p - log q),
/// q being the student's, of all choices. The rest of the teacher's mass is left out, and p isn't
/// scaled to make up for it: the sum may be below 0, by up to that rest about. Ids outside the
/// choices, or excluded, stand for nothing. Without `dhidden` there are no gradients.
struct TopDistillation {
  static constexpr const char* name = "top_distillation";
  Tensor hidden;     // [m, d]
  Tensor head;       // [vocabulary, d]
  Tensor bias = {};  // [vocabulary]; may have no data
  CrossEntropySpec cross_entropy = {};
  TopChoices teacher;
  DivergenceSpec spec;  // its temperature is 1
  float weight = 1;     // in [0, 1]
  Tensor labels;        // i32 [m]
  Tensor loss;          // [m]
  Tensor divergence;    // [m]
  Tensor dhidden = {};  // without data: none
  Tensor dhead = {};    // likewise, and only beside dhidden
  Tensor dbias = {};    // likewise, and only where there is a bias

  GemmSizes sizes() const { return {hidden.shape[0], head.shape[0], head.shape[1]}; }
};

void check(const LinearTopChoices& op);
void check(const TopDistillation& op);
OpCost cost(const LinearTopChoices& op);
OpCost cost(const TopDistillation& op);

}  // namespace ops
}  // namespace gist
