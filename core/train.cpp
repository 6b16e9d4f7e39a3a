#include "core/train.h"

#include <cmath>
#include <optional>

namespace gist {

std::vector<std::span<const LabelledSequence>> micro_batches(
    std::span<const LabelledSequence> records, std::int64_t batch_tokens) {
  std::vector<std::span<const LabelledSequence>> batches;
  std::size_t begin = 0;
  std::int64_t tokens = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const std::int64_t next = records[i].sequence.tokens();
    if (batch_tokens > 0 && i > begin && tokens + next > batch_tokens) {
      batches.push_back(records.subspan(begin, i - begin));
      begin = i;
      tokens = 0;
    }
    tokens += next;
  }
  if (begin < records.size()) batches.push_back(records.subspan(begin));
  return batches;
}

StepResult train_step(const Model& model, Parameters& parameters,
                      std::span<const LabelledSequence> records, const TrainingOptions& options,
                      TrainingScratch& scratch, const Lesson* lesson) {
  StepResult result;
  for (const LabelledSequence& record : records) {
    result.tokens += record.sequence.tokens();
    result.labels += record.labels;
  }
  Backend& backend = parameters.backend();
  backend.run(ops::Zero{.x = parameters.all(Parameters::Kind::gradient)});
  const double factor = 1 / static_cast<double>(result.labels);
  LossSum sum;
  std::size_t begun = 0;  // records of the passes before
  PassDropout dropout{options.seed, static_cast<std::uint64_t>(options.adamw.step), 0};
  for (const auto& batch : micro_batches(records, options.batch_tokens)) {
    LossOptions loss_options{static_cast<float>(factor), options.recompute, std::nullopt,
                             static_cast<float>(options.label_smoothing)};
    if (options.dropout) loss_options.dropout = dropout;
    std::optional<Lesson> part;
    if (lesson != nullptr) {
      part.emplace(lesson->part(begun, batch.size()));
      loss_options.lesson = &*part;
    }
    const LossSum found = add_loss_gradient(model, batch, loss_options, scratch);
    sum.loss += found.loss;
    sum.cross_entropy += found.cross_entropy;
    sum.divergence += found.divergence;
    begun += batch.size();
    ++dropout.pass;
  }
  result.loss = sum.loss * factor;
  result.cross_entropy = sum.cross_entropy * factor;
  result.divergence = sum.divergence * factor;

  // All gradients lie in one array: runs of it are the buckets that several devices would sum here.
  Workspace& memory = scratch.stacks[0].pass.lasting;
  const Tensor norm = memory.allocate({1});
  backend.run(ops::Norm{.x = parameters.all(Parameters::Kind::gradient), .y = norm});
  float value = 0;
  backend.download(norm, &value);
  result.gradient_norm = value;
  result.applied = std::isfinite(result.loss) && std::isfinite(result.gradient_norm);
  if (!result.applied) return result;
  using Kind = Parameters::Kind;
  AdamwOptions adamw = options.adamw;
  adamw.decayed = parameters.decayed_elements();
  backend.run(ops::Adamw{.options = adamw,
                         .gradient = parameters.all(Kind::gradient),
                         .norm = norm,
                         .weight = parameters.all(Kind::value),
                         .first_moment = parameters.all(Kind::first_moment),
                         .second_moment = parameters.all(Kind::second_moment)});
  return result;
}

}  // namespace gist
