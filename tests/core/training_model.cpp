#include "tests/core/training_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/adapter.h"
#include "core/random.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

std::vector<float> download(Backend& backend, const Tensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  backend.download(tensor, values.data());
  return values;
}

}  // namespace

std::vector<float> TrainingModel::all(Parameters::Kind kind) const {
  return download(*backend, parameters->all(kind));
}

std::vector<float> TrainingModel::of(Parameters::Kind kind, const std::string& name) const {
  return download(*backend, parameters->of(kind, parameters->named(name)));
}

TrainingModel training_model(std::unique_ptr<Family> family, const Weights& weights,
                             const CpuOptions& options) {
  TrainingModel training;
  training.backend = test_backend(options);
  training.parameters = std::make_unique<Parameters>(family->spec(), *training.backend);
  load(*training.parameters, source_of(family->spec(), weights));
  training.model = std::make_unique<Model>(std::move(family), *training.parameters);
  return training;
}

TrainingModel training_model(const std::string& name, const CpuOptions& options) {
  return training_model(plugin_family(name), weights_of(name), options);
}

TrainingModel small_training_model(const std::string& family) {
  auto served = small_family(family);
  const Weights weights = initial_weights(served->spec(), 1);
  return training_model(std::move(served), weights);
}

TrainingModel adapted_training_model(const std::string& family, const CpuOptions& options) {
  auto served = small_family(family);
  const ModelSpec spec = served->spec();
  const Weights weights = initial_weights(spec, 1);
  const AdapterSpec adapter{
      .rank = 3, .alpha = 4, .targets = all_targets(spec), .gist_ids = {50, 2}};
  TrainingModel training;
  training.backend = test_backend(options);
  training.parameters =
      std::make_unique<Parameters>(adapter_parameters(spec, adapter), *training.backend);
  for (const Parameter& parameter : training.parameters->list()) {
    std::vector<float> values(static_cast<std::size_t>(parameter.shape.elements()));
    draw_normal(1, parameter.name, 0.2F, values);
    training.backend->upload(training.parameters->of(Parameters::Kind::value, parameter),
                             values.data());
  }
  training.model = std::make_unique<Model>(std::move(served), *training.backend,
                                           source_of(spec, weights), FrozenFor::training);
  training.model->attach(std::make_unique<Adapter>(spec, adapter, *training.parameters));
  return training;
}

TrainingModel random_training_model(const LlamaShape& shape, std::uint32_t seed) {
  auto family = std::make_unique<LlamaFamily>(shape);
  const Weights weights = random_weights(family->spec(), seed);
  return training_model(std::move(family), weights);
}

std::vector<LabelledSequence> training_rows(Condition condition) {
  std::vector<LabelledSequence> rows;
  const std::int32_t lengths[] = {9, 4, 21, 13};
  for (std::uint32_t i = 0; i < 4; ++i) {
    LabelledSequence& row = rows.emplace_back();
    row.sequence.ids = random_ids(static_cast<std::size_t>(lengths[i]), 50, i);
    row.sequence.gists = {{lengths[i] / 3, lengths[i] / 3 + 1 + static_cast<std::int32_t>(i % 2)}};
    row.labels = lengths[i] / 3;
    row.condition = condition;
  }
  return rows;
}

std::vector<LabelledSequence> adapted_training_rows(Condition condition) {
  std::vector<LabelledSequence> rows = training_rows(condition);
  for (LabelledSequence& row : rows) {
    const Interval gist = row.sequence.gists[0];
    for (std::int32_t i = gist.begin; i < gist.end; ++i) {
      row.sequence.ids[static_cast<std::size_t>(i)] = 50 + i - gist.begin;
    }
  }
  rows[0].labels = rows[0].sequence.tokens() - rows[0].sequence.gists[0].end;
  return rows;
}

std::int32_t labels_of(std::span<const LabelledSequence> rows) {
  std::int32_t labels = 0;
  for (const LabelledSequence& each : rows) labels += each.labels;
  return labels;
}

double take_gradient(const TrainingModel& training, std::span<const LabelledSequence> sequences,
                     bool recompute) {
  training.backend->run(ops::Zero{.x = training.parameters->all(Parameters::Kind::gradient)});
  const std::int32_t labels = labels_of(sequences);
  TrainingScratch scratch(*training.backend);
  const LossOptions options{1 / static_cast<float>(labels), recompute, std::nullopt};
  return add_loss_gradient(*training.model, sequences, options, scratch).loss / labels;
}

double relative_l2(std::span<const float> a, std::span<const float> b) {
  EXPECT_EQ(a.size(), b.size());
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    error += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  if (std::isnan(error)) return std::numeric_limits<double>::infinity();
  return std::sqrt(norm > 0 ? error / norm : error);
}

}  // namespace gist
