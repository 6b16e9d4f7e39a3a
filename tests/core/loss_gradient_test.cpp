#include "core/loss_gradient.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

#include "core/answer_loss.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"
#include "tests/core/passes.h"
#include "tests/core/plain_llama.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;
constexpr double rounding = 2e-5;  // relative L2: the same sums in another order
constexpr Condition conditions[] = {Condition::gist, Condition::pos, Condition::neg};

LlamaShape tied_shape() {
  LlamaShape shape = small_shape();
  shape.tied = true;
  return shape;
}

/// Over all labels, without a gradient.
double mean_loss(const Model& model, std::span<const LabelledSequence> rows) {
  Scratch scratch(model.backend());
  double sum = 0;
  std::int32_t labels = 0;
  for (const AnswerLoss& each : answer_loss(model, rows, scratch)) {
    sum += each.sum;
    labels += each.labels;
  }
  return sum / labels;
}

class GradientTest : public testing::Test {
 protected:
  explicit GradientTest(TrainingModel training,
                        std::vector<LabelledSequence> rows = training_rows(Condition::gist))
      : training_(std::move(training)), rows_(std::move(rows)) {}

  TrainingModel training_;
  const std::vector<LabelledSequence> rows_;

  std::vector<float> gradients() const { return training_.all(Kind::gradient); }
  void expect_near(const std::vector<float>& expected) const {
    const auto found = gradients();
    for (const Parameter& parameter : training_.parameters->list()) {
      const auto begin = static_cast<std::size_t>(parameter.offset);
      const auto count = static_cast<std::size_t>(parameter.shape.elements());
      EXPECT_LE(relative_l2(std::span(found).subspan(begin, count),
                            std::span(expected).subspan(begin, count)),
                rounding)
          << parameter.name;
    }
  }
};

class LossGradient : public GradientTest {
 protected:
  LossGradient() : GradientTest(random_training_model(small_shape())) {}
};

/// Of a family's model, or of an adapter for it.
using Trained = std::tuple<std::string, bool>;

class FamilyGradient : public GradientTest, public testing::WithParamInterface<Trained> {
 protected:
  FamilyGradient() : GradientTest(trained(), rows(Condition::gist)) {}

  static TrainingModel trained() {
    const auto& [family, adapted] = GetParam();
    return adapted ? adapted_training_model(family) : small_training_model(family);
  }
  static std::vector<LabelledSequence> rows(Condition condition) {
    return std::get<bool>(GetParam()) ? adapted_training_rows(condition) : training_rows(condition);
  }

  /// The loss after a step of the parameter's values along a direction.
  double loss_after(const Parameter& parameter, const std::vector<float>& values,
                    const std::vector<float>& direction, double step) {
    std::vector<float> moved = values;
    for (std::size_t i = 0; i < moved.size(); ++i) {
      moved[i] = static_cast<float>(moved[i] + step * direction[i]);
    }
    const Tensor tensor = training_.parameters->of(Kind::value, parameter);
    training_.backend->upload(tensor, moved.data());
    const double loss = mean_loss(*training_.model, rows_);
    training_.backend->upload(tensor, values.data());
    return loss;
  }
};

// --- the right gradient ---

/// The difference of the loss between a step forwards and one back along `direction`, over its
/// length, in double precision.
double slope(const LlamaShape& shape, DoubleWeights weights, const std::string& name,
             const std::vector<double>& direction, std::span<const LabelledSequence> rows) {
  constexpr double step = 1e-5;
  std::vector<double>& values = weights.at(name);
  const std::vector<double> start = values;
  double losses[2];
  for (const int side : {0, 1}) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = start[i] + (side == 0 ? -step : step) * direction[i];
    }
    losses[side] = plain_loss(shape, weights, rows);
  }
  return (losses[1] - losses[0]) / (2 * step);
}

using Case = std::tuple<Condition, bool>;
class LossGradientOf : public testing::TestWithParam<Case> {};

TEST_P(LossGradientOf, EachWeightIsItsSlopeAlongRandomDirections) {
  const auto [condition, tied] = GetParam();
  const LlamaShape shape = tied ? tied_shape() : small_shape();
  const TrainingModel training = random_training_model(shape);
  const auto rows = training_rows(condition);
  const double loss = take_gradient(training, rows);
  DoubleWeights weights;
  for (const auto& [name, values] : random_weights(training.model->spec(), 1)) {
    weights[name] = {values.begin(), values.end()};
  }
  EXPECT_NEAR(loss, plain_loss(shape, weights, rows), 1e-5 * loss);

  std::mt19937 random(7);
  std::normal_distribution<double> normal;
  for (const Parameter& parameter : training.parameters->list()) {
    const auto gradient = training.of(Kind::gradient, parameter.name);
    double squares = 0;
    for (const float each : gradient) squares += double{each} * each;
    EXPECT_GT(squares, 0) << parameter.name;
    for (int round = 0; round < 3; ++round) {
      std::vector<double> direction(gradient.size());
      double expected = 0;
      for (std::size_t i = 0; i < direction.size(); ++i) {
        direction[i] = normal(random);
        expected += direction[i] * gradient[i];
      }
      // A sum of random signs: as large as the gradient's norm.
      EXPECT_NEAR(slope(shape, weights, parameter.name, direction, rows), expected,
                  1e-4 * std::sqrt(squares))
          << parameter.name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, LossGradientOf,
                         testing::Combine(testing::ValuesIn(conditions), testing::Bool()),
                         [](const testing::TestParamInfo<Case>& suite) {
                           return std::string(name_of(std::get<0>(suite.param))) +
                                  (std::get<1>(suite.param) ? "_tied" : "_untied");
                         });

// The same in f32, along directions near the gradient, in which the loss moves most.
TEST_P(FamilyGradient, EachWeightIsItsSlope) {
  take_gradient(training_, rows_);
  std::mt19937 random(7);
  std::uniform_real_distribution<float> factor(0, 2);
  for (const Parameter& parameter : training_.parameters->list()) {
    const auto values = training_.of(Kind::value, parameter.name);
    std::vector<float> direction = training_.of(Kind::gradient, parameter.name);
    double expected = 0;
    for (float& each : direction) {
      const double gradient = each;
      each *= factor(random);
      expected += gradient * each;
    }
    ASSERT_GT(expected, 0) << parameter.name;
    // An adapter's weights move the loss little, and a step as large would leave where it is smooth.
    const double step = (std::get<bool>(GetParam()) ? 1.5e-3 : 5e-3) / expected;
    const auto difference = [&](double length) {
      return loss_after(parameter, values, direction, length) -
             loss_after(parameter, values, direction, -length);
    };
    // The third derivative cancels out.
    const double slope = (8 * difference(step) - difference(2 * step)) / (12 * step);
    EXPECT_NEAR(slope / expected, 1, std::get<bool>(GetParam()) ? 2e-3 : 1e-3) << parameter.name;
  }
}

TEST_F(LossGradient, TheLossIsThatOfTheLoadedModel) {
  for (const Condition condition : conditions) {
    const auto rows = training_rows(condition);
    const LoadedModel loaded = random_model(small_shape());
    const double expected = mean_loss(*loaded.model, rows);
    EXPECT_NEAR(take_gradient(training_, rows), expected, rounding * expected);
  }
}

TEST_F(LossGradient, TheFactorIsOfTheGradientAndNotOfTheLoss) {
  TrainingScratch scratch(*training_.backend);
  const auto add = [&](float factor) {
    return add_loss_gradient(*training_.model, rows_, {factor, false, std::nullopt}, scratch).loss;
  };
  const double loss = add(1);
  std::vector<float> expected = gradients();
  EXPECT_EQ(add(0.5F), loss) << "without the factor";
  for (float& each : expected) each *= 1.5F;
  expect_near(expected);  // it was added
}

TEST_F(LossGradient, OfATiedHeadIsTheSumOfBoth) {
  const std::string table = "model.embed_tokens.weight";
  const LlamaShape shape = tied_shape();
  Weights weights = random_weights(LlamaFamily(shape).spec(), 1);
  const TrainingModel tied = training_model(std::make_unique<LlamaFamily>(shape), weights);
  weights["lm_head.weight"] = weights.at(table);
  const TrainingModel untied =
      training_model(std::make_unique<LlamaFamily>(small_shape()), weights);
  take_gradient(tied, rows_);
  take_gradient(untied, rows_);
  std::vector<float> sum = untied.of(Kind::gradient, table);
  const auto head = untied.of(Kind::gradient, "lm_head.weight");
  for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += head[i];
  EXPECT_LE(relative_l2(tied.of(Kind::gradient, table), sum), rounding);
}

// --- however it is computed ---

TEST_P(FamilyGradient, APackedBatchEqualsItsRowsOneByOne) {
  take_gradient(training_, rows_);
  const auto together = gradients();
  const auto labels = static_cast<float>(labels_of(rows_));
  TrainingScratch scratch(*training_.backend);
  for (const std::size_t size : {1, 2, 3}) {
    training_.backend->run(ops::Zero{.x = training_.parameters->all(Kind::gradient)});
    for (std::size_t i = 0; i < rows_.size(); i += size) {
      const auto part = std::span(rows_).subspan(i, std::min(size, rows_.size() - i));
      add_loss_gradient(*training_.model, part, {1 / labels, false, std::nullopt}, scratch);
    }
    expect_near(together);
  }
}

TEST_P(FamilyGradient, RowsMayDifferInTheirCondition) {
  auto mixed = rows_;
  TrainingScratch scratch(*training_.backend);
  for (std::size_t i = 0; i < mixed.size(); ++i) {
    mixed[i].condition = conditions[i % 3];
    add_loss_gradient(*training_.model, {&mixed[i], 1},
                      {1 / static_cast<float>(labels_of(rows_)), false, std::nullopt}, scratch);
  }
  const auto one_by_one = gradients();
  take_gradient(training_, mixed);
  expect_near(one_by_one);
}

TEST_P(FamilyGradient, RecomputingGivesTheSameBits) {
  for (const Condition condition : conditions) {
    const auto trained_on = rows(condition);
    const double loss = take_gradient(training_, trained_on);
    const auto kept = gradients();
    EXPECT_EQ(take_gradient(training_, trained_on, true), loss);
    EXPECT_EQ(gradients(), kept) << name_of(condition);
  }
}

TEST_P(FamilyGradient, IsTheSameBitsInEveryRunWhateverTheScratchHeld) {
  take_gradient(training_, rows_);
  const auto first = gradients();
  TrainingScratch scratch(*training_.backend);
  const auto others = rows(Condition::pos);
  add_loss_gradient(*training_.model, std::span(others).subspan(1), {1, true, std::nullopt},
                    scratch);
  training_.backend->run(ops::Zero{.x = training_.parameters->all(Kind::gradient)});
  add_loss_gradient(*training_.model, rows_,
                    {1 / static_cast<float>(labels_of(rows_)), false, std::nullopt}, scratch);
  EXPECT_EQ(gradients(), first);
}

INSTANTIATE_TEST_SUITE_P(, FamilyGradient,
                         testing::Combine(testing::ValuesIn(small_families()), testing::Bool()),
                         [](const auto& suite) {
                           return std::get<0>(suite.param) +
                                  (std::get<1>(suite.param) ? "_adapter" : "");
                         });

struct TrainingCost {
  std::size_t peak;
  std::int64_t flops;
};
TrainingCost cost_of(bool recompute) {
  LlamaShape shape = small_shape();
  shape.layers = 12;
  const auto meta = make_meta_backend();
  auto family = std::make_unique<LlamaFamily>(shape);
  const Parameters parameters(family->spec(), *meta);
  const Model model(std::move(family), parameters);
  TrainingScratch scratch(*meta);
  LabelledSequence row;
  row.sequence.ids.assign(5000, 1);
  row.labels = 100;
  add_loss_gradient(model, {&row, 1}, {1, recompute, std::nullopt}, scratch);
  return {meta->memory().peak, meta->total_flops()};
}

TEST(LossGradientCost, RecomputingTakesMoreProductsAndMuchLessMemory) {
  const TrainingCost kept = cost_of(false);
  const TrainingCost recomputed = cost_of(true);
  EXPECT_LT(recomputed.peak, kept.peak / 2);
  EXPECT_GT(recomputed.flops, kept.flops);
}

// --- what can't be trained on ---

TEST_F(LossGradient, OfARowWithoutAGistIsRefusedUnderGist) {
  auto rows = rows_;
  rows[2].sequence.gists.clear();
  EXPECT_THROW(take_gradient(training_, rows), Error);
  for (LabelledSequence& row : rows) row.condition = Condition::pos;
  EXPECT_NO_THROW(take_gradient(training_, rows));
}

TEST_F(LossGradient, NeedsATokenBeforeTheFirstLabelAndNoStoredGist) {
  auto rows = rows_;
  for (const std::int32_t labels : {0, 9, 10}) {
    rows[0].labels = labels;
    EXPECT_THROW(take_gradient(training_, rows), Error) << labels;
  }
  rows[0].labels = 8;
  EXPECT_NO_THROW(take_gradient(training_, rows));
  const GistActivations stored;
  rows[0].stored = &stored;
  EXPECT_THROW(take_gradient(training_, rows), Error);
}

}  // namespace
}  // namespace gist
