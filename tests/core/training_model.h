// Models to train, for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/loss_gradient.h"
#include "core/parameters.h"
#include "kernels/cpu/cpu_backend.h"
#include "tests/core/loaded_model.h"

namespace gist {

/// A model, its parameters, and the backend that they stand on.
struct TrainingModel {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Parameters> parameters;
  std::unique_ptr<Model> model;

  /// All values of one kind, and those of one parameter.
  std::vector<float> all(Parameters::Kind kind) const;
  std::vector<float> of(Parameters::Kind kind, const std::string& name) const;
};

TrainingModel training_model(std::unique_ptr<Family> family, const Weights& weights,
                             const CpuOptions& options = {});
/// The model of the fixtures by this name.
TrainingModel training_model(const std::string& name, const CpuOptions& options = {});

TrainingModel random_training_model(const LlamaShape& shape, std::uint32_t seed = 1);
/// One of small_families(), with initial weights.
TrainingModel small_training_model(const std::string& family);

/// The same with a trained adapter, of which its parameters are; its gist tokens, 50 and 51, have no
/// rows but the adapter's.
TrainingModel adapted_training_model(const std::string& family, const CpuOptions& options = {});

/// Rows of several lengths for a vocabulary of 50, each with a gist.
std::vector<LabelledSequence> training_rows(Condition condition);
/// The same with the gist tokens of adapted_training_model; one row's gist predicts a label.
std::vector<LabelledSequence> adapted_training_rows(Condition condition);
std::int32_t labels_of(std::span<const LabelledSequence> rows);

/// The gradients of the mean loss over all labels, as one batch, and that loss.
double take_gradient(const TrainingModel& training, std::span<const LabelledSequence> sequences,
                     bool recompute = false);

/// |a - b| / |b| in the L2 norm, or |a| where b is zero.
double relative_l2(std::span<const float> a, std::span<const float> b);

}  // namespace gist
