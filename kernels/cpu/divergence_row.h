// One row of a teacher's logits beside a student's: what divergence.cpp computes of both.
#pragma once

#include <limits>

#include "kernels/ops/cross_entropy.h"

namespace gist::cpu {

/// Where a teacher's logit is this, the id is no choice.
constexpr float no_choice = -std::numeric_limits<float>::infinity();

/// One number of each model's logits.
struct OfBoth {
  float teacher, student;
};

/// With these, the logarithm of a choice's probability is (logit - peak) * rate - log_sum.
struct ChoiceShifts {
  OfBoth peaks;     // the largest logit of a choice
  float rate;       // 1 / temperature
  OfBoth log_sums;  // log sum of exp((logit - peak) * rate)
};

/// What the gradient by a student's logits takes besides:
///   factor (of_labels (exp(z - log_sum) - spread) + of_teacher (q - p))
struct StudentGradient {
  const CrossEntropySpec& cross_entropy;
  float log_sum;     // of all logits, at temperature 1
  float spread;      // what smoothed labels give to each id
  float of_labels;   // 1 - weight
  float of_teacher;  // weight * temperature
};

}  // namespace gist::cpu
