// What a model expects at each label of given answers: its likeliest next tokens.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/gist_ids.h"
#include "core/model.h"
#include "core/predict.h"

namespace gist {

/// Of each label of a sequence the k likeliest ids, the likeliest first, and the natural logarithms
/// of their probabilities: of the softmax over the vocabulary without gist tokens, which no answer
/// has. Where there are fewer ids than k, -1 and -infinity follow.
struct TopPredictions {
  std::vector<std::int32_t> ids;  // [labels, k]
  std::vector<float> log_p;       // [labels, k]
};

/// One pass over all sequences. Where a logit isn't finite, its label's `log_p` are NaN.
std::vector<TopPredictions> top_predictions(const Model& model,
                                            std::span<const LabelledSequence> sequences,
                                            const GistIds& gist_ids, std::int32_t k,
                                            Scratch& scratch);

}  // namespace gist
