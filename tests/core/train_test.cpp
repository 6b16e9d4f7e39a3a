#include "core/train.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/core/passes.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;

TrainingOptions options_of(std::int64_t step = 1) {
  TrainingOptions options;
  options.adamw.lr = 1e-2;
  options.adamw.eps = 1e-3;
  options.adamw.step = step;
  return options;
}

class TrainStep : public testing::Test {
 protected:
  StepResult step(TrainingModel& training, const TrainingOptions& options) {
    TrainingScratch scratch(*training.backend);
    return train_step(*training.model, *training.parameters, rows_, options, scratch);
  }

  const std::vector<LabelledSequence> rows_ = training_rows(Condition::gist);
  TrainingModel training_ = random_training_model(small_shape());
};

// --- one step ---

/// The first step of AdamW: its moments are the gradient and its square, once their bias is
/// corrected.
std::vector<float> after_first_step(const TrainingModel& training, const AdamwOptions& options) {
  const auto gradient = training.all(Kind::gradient);
  double squares = 0;
  for (const float each : gradient) squares += double{each} * each;
  double factor = 1;
  if (options.max_norm > 0) factor = std::min(1.0, options.max_norm / (std::sqrt(squares) + 1e-6));
  std::vector<float> weights = training.all(Kind::value);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const bool decays = static_cast<std::int64_t>(i) < training.parameters->decayed_elements();
    const double g = gradient[i] * factor;
    weights[i] =
        static_cast<float>(weights[i] * (1 - (decays ? options.lr * options.weight_decay : 0)) -
                           options.lr * g / (std::abs(g) + options.eps));
  }
  return weights;
}

TEST_F(TrainStep, IsAdamwOnTheGradientOfTheMeanLoss) {
  const double loss = take_gradient(training_, rows_);
  const auto expected = after_first_step(training_, options_of().adamw);
  const StepResult result = step(training_, options_of());
  EXPECT_EQ(result.loss, loss);
  EXPECT_TRUE(result.applied);
  EXPECT_EQ(result.tokens, 9 + 4 + 21 + 13);
  EXPECT_EQ(result.labels, 3 + 1 + 7 + 4);
  EXPECT_LE(relative_error(training_.all(Kind::value), expected), 1e-6);
}

TEST_F(TrainStep, DecaysMatricesAndTablesOnly) {
  TrainingOptions options = options_of();
  options.adamw.weight_decay = 20;
  take_gradient(training_, rows_);
  const auto expected = after_first_step(training_, options.adamw);
  step(training_, options);
  EXPECT_LE(relative_error(training_.all(Kind::value), expected), 1e-6);
}

TEST_F(TrainStep, ClipsByTheNormOfAllGradientsTogether) {
  take_gradient(training_, rows_);
  const auto gradient = training_.all(Kind::gradient);
  double squares = 0;
  for (const float each : gradient) squares += double{each} * each;
  TrainingOptions options = options_of();
  options.adamw.max_norm = std::sqrt(squares) / 8;
  const auto expected = after_first_step(training_, options.adamw);
  const StepResult result = step(training_, options);
  EXPECT_NEAR(result.gradient_norm, std::sqrt(squares), 1e-6 * std::sqrt(squares));
  EXPECT_LE(relative_error(training_.all(Kind::value), expected), 1e-6);
}

TEST_F(TrainStep, ForgetsTheGradientsOfTheStepBefore) {
  TrainingOptions still = options_of();
  still.adamw.lr = 0;
  const StepResult first = step(training_, still);
  EXPECT_EQ(step(training_, still).gradient_norm, first.gradient_norm);
}

TEST_F(TrainStep, OfNaNsLeavesWeightsAndMomentsAsTheyWere) {
  step(training_, options_of());
  const Parameters& parameters = *training_.parameters;
  const Tensor norm = parameters.of(Kind::value, parameters.named("model.norm.weight"));
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    training_.backend->upload(norm.rows(5, 6), &bad);
    const auto bits = [&](Kind kind) {
      const auto values = training_.all(kind);
      const auto* bytes = reinterpret_cast<const std::byte*>(values.data());
      return std::vector<std::byte>(bytes, bytes + values.size() * sizeof(float));
    };
    const auto weights = bits(Kind::value);
    const auto first = bits(Kind::first_moment), second = bits(Kind::second_moment);
    const StepResult result = step(training_, options_of(2));
    EXPECT_FALSE(result.applied);
    EXPECT_FALSE(std::isfinite(result.loss) && std::isfinite(result.gradient_norm));
    EXPECT_EQ(bits(Kind::value), weights);
    EXPECT_EQ(bits(Kind::first_moment), first);
    EXPECT_EQ(bits(Kind::second_moment), second);
  }
  const float good = 1;
  training_.backend->upload(norm.rows(5, 6), &good);
  EXPECT_TRUE(step(training_, options_of(2)).applied) << "nothing of it stays behind";
}

// --- several ---

TEST_F(TrainStep, LowersTheLoss) {
  const double first = step(training_, options_of()).loss;
  double loss = first;
  for (int i = 2; i <= 10; ++i) loss = step(training_, options_of(i)).loss;
  EXPECT_LT(loss, first / 2);
}

// --- of each family ---

class TrainStepOfFamily : public TrainStep, public testing::WithParamInterface<std::string> {
 protected:
  TrainingModel model() const { return small_training_model(GetParam()); }
};

TEST_P(TrainStepOfFamily, RunsAreTheSameBitsWithOrWithoutRecomputing) {
  std::vector<float> first;
  for (const bool recompute : {false, false, true}) {
    TrainingModel training = model();
    TrainingScratch scratch(*training.backend);
    for (int i = 1; i <= 3; ++i) {
      TrainingOptions options = options_of(i);  // with dropout, where the family has it
      options.recompute = recompute;
      train_step(*training.model, *training.parameters, rows_, options, scratch);
    }
    if (first.empty()) first = training.all(Kind::value);
    EXPECT_EQ(training.all(Kind::value), first) << recompute;
  }
}

TEST_P(TrainStepOfFamily, InMicroBatchesIsTheSameStep) {
  TrainingOptions options = options_of();
  options.dropout = false;  // what it draws depends on the pass that a record is in
  TrainingModel at_once = model();
  const StepResult whole = step(at_once, options);
  const auto expected = at_once.all(Kind::value);
  for (const std::int64_t batch_tokens : {1, 14, 25}) {
    TrainingModel training = model();
    options.batch_tokens = batch_tokens;
    const StepResult result = step(training, options);
    EXPECT_NEAR(result.loss, whole.loss, 1e-6 * whole.loss);
    EXPECT_NEAR(result.gradient_norm, whole.gradient_norm, 1e-5 * whole.gradient_norm);
    EXPECT_EQ(result.tokens, whole.tokens);
    EXPECT_EQ(result.labels, whole.labels);
    EXPECT_LE(relative_l2(training.all(Kind::value), expected), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(, TrainStepOfFamily, testing::ValuesIn(small_families()),
                         [](const auto& suite) { return suite.param; });

// --- micro-batches ---

std::vector<std::size_t> sizes(std::span<const LabelledSequence> rows, std::int64_t batch_tokens) {
  std::vector<std::size_t> result;
  const LabelledSequence* next = rows.data();
  for (const auto& batch : micro_batches(rows, batch_tokens)) {
    EXPECT_EQ(batch.data(), next) << "in order, without gaps";
    next += batch.size();
    result.push_back(batch.size());
  }
  EXPECT_EQ(next, rows.data() + rows.size());
  return result;
}

TEST(MicroBatches, AreTheLargestRunsThatFit) {
  const auto rows = training_rows(Condition::pos);  // 9, 4, 21 and 13 tokens
  using Sizes = std::vector<std::size_t>;
  EXPECT_EQ(sizes(rows, 0), (Sizes{4}));
  EXPECT_EQ(sizes(rows, 47), (Sizes{4}));
  EXPECT_EQ(sizes(rows, 46), (Sizes{3, 1}));
  EXPECT_EQ(sizes(rows, 34), (Sizes{3, 1}));
  EXPECT_EQ(sizes(rows, 33), (Sizes{2, 1, 1}));
  EXPECT_EQ(sizes(rows, 13), (Sizes{2, 1, 1}));
  EXPECT_EQ(sizes(rows, 12), (Sizes{1, 1, 1, 1}));
  EXPECT_EQ(sizes(rows, 1), (Sizes{1, 1, 1, 1}));
  EXPECT_EQ(sizes({}, 10), (Sizes{}));
}

}  // namespace
}  // namespace gist
