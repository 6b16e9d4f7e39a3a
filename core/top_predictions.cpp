#include "core/top_predictions.h"

namespace gist {

std::vector<TopPredictions> top_predictions(const Model& model,
                                            std::span<const LabelledSequence> sequences,
                                            const GistIds& gist_ids, std::int32_t k,
                                            Scratch& scratch) {
  const Predictions wanted = predict(model, sequences, scratch);
  Backend& backend = model.backend();
  Workspace& memory = scratch.lasting;
  const HeadInput input = head_input(model, wanted.hidden);
  DivergenceSpec spec;
  spec.choices = input.head->n();
  std::vector<std::int32_t> excluded;
  for (std::int32_t id = gist_ids.first; gist_ids.contains(id); ++id) excluded.push_back(id);
  if (!excluded.empty()) {
    spec.excluded = memory.upload({std::ssize(excluded)}, Dtype::i32, excluded.data());
  }
  const std::int64_t n_labels = std::ssize(wanted.labels);
  const TopChoices top{memory.allocate({n_labels, k}, Dtype::i32), memory.allocate({n_labels, k})};
  backend.run(ops::LinearTopChoices{.input = input, .spec = spec, .top = top});
  std::vector<std::int32_t> ids(wanted.labels.size() * static_cast<std::size_t>(k));
  std::vector<float> log_p(ids.size());
  backend.download(top.ids, ids.data());
  backend.download(top.log_p, log_p.data());

  std::vector<TopPredictions> results(sequences.size());
  for (std::size_t i = 0; i < wanted.labels.size(); ++i) {
    TopPredictions& result = results[wanted.sequence[i]];
    const auto begin = static_cast<std::ptrdiff_t>(i) * k, end = begin + k;
    result.ids.insert(result.ids.end(), ids.begin() + begin, ids.begin() + end);
    result.log_p.insert(result.log_p.end(), log_p.begin() + begin, log_p.begin() + end);
  }
  return results;
}

}  // namespace gist
