// Loss of given answers.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/predict.h"

namespace gist {

struct AnswerLoss {
  double sum = 0;  // of the labels' cross-entropy, in nats; NaN where a logit isn't finite
  std::int32_t labels = 0;
  std::int32_t correct = 0;  // labels that are the model's first choice
};

/// The loss of each sequence, with the head fused into it.
std::vector<AnswerLoss> answer_loss(const Model& model, std::span<const LabelledSequence> sequences,
                                    Scratch& scratch);

}  // namespace gist
