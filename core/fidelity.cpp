#include "core/fidelity.h"

#include <algorithm>

#include "kernels/error.h"

namespace gist {
namespace {

std::int32_t vocabulary_of(const ModelSpec& spec) {
  const WeightSpec& head = spec.weights[static_cast<std::size_t>(spec.head.weight)];
  return static_cast<std::int32_t>(head.shape[0]);
}

/// The distributions that generation draws from at temperature 1, over the ids that both may choose.
DivergenceSpec distributions(std::int32_t shared, const GistIds& gist_ids, Workspace& memory) {
  DivergenceSpec spec;
  spec.choices = shared;
  std::vector<std::int32_t> banned;
  for (std::int32_t id = gist_ids.first; gist_ids.contains(id); ++id) banned.push_back(id);
  if (!banned.empty()) {
    spec.excluded = memory.upload({std::ssize(banned)}, Dtype::i32, banned.data());
  }
  return spec;
}

/// What is known of each label, on the host.
struct LabelFidelity {
  std::vector<float> divergence;
  std::vector<std::int32_t> expected, found;  // first choices
};

LabelFidelity label_fidelity(const ops::LinearDivergence& op, Backend& backend) {
  backend.run(op);
  const auto labels = static_cast<std::size_t>(op.divergence.shape[0]);
  LabelFidelity result{std::vector<float>(labels), std::vector<std::int32_t>(labels),
                       std::vector<std::int32_t>(labels)};
  backend.download(op.divergence, result.divergence.data());
  backend.download(op.teacher_best, result.expected.data());
  backend.download(op.student_best, result.found.data());
  return result;
}

}  // namespace

std::int32_t shared_vocabulary(const ModelSpec& reference, const ModelSpec& gist,
                               const GistIds& gist_ids) {
  const std::int32_t a = vocabulary_of(reference);
  const std::int32_t b = vocabulary_of(gist);
  const std::int32_t shared = std::min(a, b);
  const bool gist_rows_apart = gist_ids.contains(shared) && std::max(a, b) <= gist_ids.end();
  if (a != b && !gist_rows_apart) {
    fail(ErrorKind::data,
         "the reference model has {} tokens and the gist model {}: only models of one vocabulary, "
         "with or without rows for gist tokens, can be compared",
         a, b);
  }
  return shared;
}

std::vector<Fidelity> fidelity(const AnsweringRun& reference, const AnsweringRun& gist,
                               const GistIds& gist_ids) {
  const std::int32_t shared =
      shared_vocabulary(reference.model.spec(), gist.model.spec(), gist_ids);
  const Predictions expected = predict(reference.model, reference.sequences, reference.scratch);
  const Predictions found = predict(gist.model, gist.sequences, gist.scratch);
  if (expected.labels != found.labels || expected.sequence != found.sequence) {
    fail(ErrorKind::internal, "fidelity: the two runs don't have the same labels");
  }
  std::vector<Fidelity> results(reference.sequences.size());
  if (found.labels.empty()) return results;

  reference.model.backend().synchronize();  // what it expects is ready for the other one
  Workspace& memory = gist.scratch.lasting;
  const std::int64_t count = std::ssize(found.labels);
  const LabelFidelity labels =
      label_fidelity({.teacher = head_input(reference.model, expected.hidden),
                      .student = head_input(gist.model, found.hidden),
                      .spec = distributions(shared, gist_ids, memory),
                      .divergence = memory.allocate({count}),
                      .teacher_best = memory.allocate({count}, Dtype::i32),
                      .student_best = memory.allocate({count}, Dtype::i32)},
                     gist.model.backend());
  for (std::size_t i = 0; i < found.labels.size(); ++i) {
    Fidelity& result = results[found.sequence[i]];
    result.divergence += labels.divergence[i];
    ++result.labels;
    if (labels.expected[i] == labels.found[i]) ++result.agreements;
  }
  return results;
}

}  // namespace gist
