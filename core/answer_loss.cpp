#include "core/answer_loss.h"

namespace gist {

std::vector<AnswerLoss> answer_loss(const Model& model, std::span<const LabelledSequence> sequences,
                                    Scratch& scratch) {
  const Predictions wanted = predict(model, sequences, scratch);
  Backend& backend = model.backend();
  Workspace& memory = scratch.lasting;
  const auto n_labels = static_cast<std::int64_t>(wanted.labels.size());
  const HeadSpec& head = model.spec().head;
  const Tensor bias = head.bias < 0 ? Tensor{} : model.weight(head.bias, 0).tensor;
  const Tensor loss = memory.allocate({n_labels});
  const Tensor best = memory.allocate({n_labels}, Dtype::i32);
  backend.run(
      ops::LinearCrossEntropy{.hidden = wanted.hidden,
                              .head = *model.weight(head.weight, 0).matrix,
                              .bias = bias,
                              .scale = head.scale,
                              .soft_cap = head.soft_cap,
                              .labels = memory.upload({n_labels}, Dtype::i32, wanted.labels.data()),
                              .loss = loss,
                              .best = best});
  std::vector<float> losses(wanted.labels.size());
  std::vector<std::int32_t> choices(wanted.labels.size());
  backend.download(loss, losses.data());
  backend.download(best, choices.data());

  std::vector<AnswerLoss> results(sequences.size());
  for (std::size_t i = 0; i < wanted.labels.size(); ++i) {
    AnswerLoss& result = results[wanted.sequence[i]];
    result.sum += losses[i];
    ++result.labels;
    if (choices[i] == wanted.labels[i]) ++result.correct;
  }
  return results;
}

}  // namespace gist
