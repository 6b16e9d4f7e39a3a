// One step of training: gradients over the step's records, clipped, then AdamW.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/loss_gradient.h"
#include "core/parameters.h"

namespace gist {

struct TrainingOptions {
  AdamwOptions adamw;             // lr and step are the step's own
  std::int64_t batch_tokens = 0;  // of one pass; a step of more is split; 0: never
  bool recompute = false;
  double label_smoothing = 0;  // as CrossEntropySpec's
  bool dropout = true;         // as the family asks for it
  std::uint64_t seed = 0;      // of dropout
};

/// StepResult is what one step found. The losses are means over all labels of the step, however it
/// was split.
struct StepResult {
  double loss = 0;           // what the step lowers
  double cross_entropy = 0;  // the same where there is no teacher
  double divergence = 0;     // from the teacher, where there is one
  double gradient_norm = 0;  // before clipping
  std::int64_t tokens = 0;
  std::int64_t labels = 0;
  bool applied = false;  // false where loss or norm is no finite number: the weights are as before
};

/// The largest runs of a step's records, in their order, that have at most `batch_tokens` tokens
/// (or are one record): each is one pass.
std::vector<std::span<const LabelledSequence>> micro_batches(
    std::span<const LabelledSequence> records, std::int64_t batch_tokens);

/// The model's weights are the parameters. `lesson`, where there is one, has a sequence for each
/// record, or a prediction.
StepResult train_step(const Model& model, Parameters& parameters,
                      std::span<const LabelledSequence> records, const TrainingOptions& options,
                      TrainingScratch& scratch, const Lesson* lesson = nullptr);

}  // namespace gist
