#include "tests/core/training_model.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

double take_gradient(const TrainingModel& training, std::span<const LabelledSequence> sequences,
                     bool recompute) {
  training.backend->run(ops::Zero{.x = training.parameters->all(Parameters::Kind::gradient)});
  std::int32_t labels = 0;
  for (const LabelledSequence& each : sequences) labels += each.labels;
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
