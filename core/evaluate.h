// Loss of given answers. (Exact match needs text: the command line compares completions.)
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/batch.h"
#include "core/forward.h"
#include "core/gist_activations.h"
#include "core/model.h"

namespace gist {

/// A sequence whose last `labels` tokens are the answer. With a stored gist the sequence is what
/// follows it.
struct LabelledSequence {
  Sequence sequence;
  std::int32_t labels = 0;  // at least 1, and fewer than the row's tokens, the stored ones included
  Condition condition = Condition::pos;
  const GistActivations* stored = nullptr;
  std::int32_t stored_position = 0;
};

struct AnswerLoss {
  double sum = 0;  // of the labels' cross-entropy, in nats
  std::int32_t labels = 0;
  std::int32_t correct = 0;  // labels that are the model's first choice
};

/// One pass over all sequences.
std::vector<AnswerLoss> answer_loss(const Model& model, std::span<const LabelledSequence> sequences,
                                    Scratch& scratch);

}  // namespace gist
