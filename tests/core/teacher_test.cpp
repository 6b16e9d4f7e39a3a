#include "core/teacher.h"

#include <gtest/gtest.h>

#include <cmath>
#include <optional>
#include <random>

#include "core/answer_loss.h"
#include "core/train.h"
#include "kernels/error.h"
#include "tests/core/passes.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;

/// What a teacher that ran before expected, of all ids that it has, or of some.
class WrittenLessons {
 public:
  WrittenLessons(const Model& model, std::span<const LabelledSequence> lessons, std::int32_t k) {
    Scratch scratch(model.backend());
    predictions_ = top_predictions(model, lessons, {49}, k, scratch);
    teacher_.options = {0.7F, 1};
    teacher_.excluded = {49};
    teacher_.vocabulary = 50;
  }
  Lesson lesson() const { return {teacher_, {}, predictions_}; }

 private:
  Teacher teacher_;
  std::vector<TopPredictions> predictions_;
};

/// A student of each family, and a teacher that has other weights and sees the whole prompt.
class TeacherOf : public testing::TestWithParam<std::string> {
 protected:
  TeacherOf()
      : training_(small_training_model(GetParam())),
        weights_(initial_weights(training_.model->spec(), 2)),
        model_(small_family(GetParam()), *training_.backend,
               source_of(training_.model->spec(), weights_)),
        scratch_(*training_.backend) {}

  double loss() { return loss({teacher_, lessons_}); }
  double loss(const Lesson& lesson) {
    Scratch scratch(*training_.backend);
    double cross_entropy = 0;
    for (const AnswerLoss& each : answer_loss(*training_.model, rows_, scratch)) {
      cross_entropy += each.sum;
    }
    return distillation_loss(lesson.teacher.options, cross_entropy,
                             teacher_divergence(*training_.model, rows_, lesson, scratch));
  }

  LossSum gradient(const Teacher& teacher, std::span<const LabelledSequence> lessons) {
    return gradient({teacher, lessons});
  }
  LossSum gradient(const Lesson& lesson) {
    training_.backend->run(ops::Zero{.x = training_.parameters->all(Kind::gradient)});
    TrainingScratch scratch(*training_.backend);
    LossOptions options;
    options.lesson = &lesson;
    return add_loss_gradient(*training_.model, rows_, options, scratch);
  }

  void expect_slopes(const Lesson& lesson);
  void expect_same_step(const WrittenLessons* written);

  TrainingModel training_;
  Weights weights_;
  Model model_;
  Scratch scratch_;
  const Teacher teacher_{&model_, {0.7F, 1.5F}, {49}, &scratch_};
  const std::vector<LabelledSequence> rows_ = training_rows(Condition::gist);
  const std::vector<LabelledSequence> lessons_ = training_rows(Condition::pos);
};

TEST_P(TeacherOf, TheLossIsThatOfAPassWithoutGradients) {
  const LossSum found = gradient(teacher_, lessons_);
  EXPECT_NEAR(found.loss, loss(), 1e-5 * found.loss);
  EXPECT_NEAR(found.loss,
              distillation_loss(teacher_.options, found.cross_entropy, found.divergence),
              1e-12 * found.loss);
  EXPECT_GT(found.divergence, 0);
}

// Along directions near the gradient, in which the loss moves most.
void TeacherOf::expect_slopes(const Lesson& lesson) {
  gradient(lesson);
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
    const Tensor tensor = training_.parameters->of(Kind::value, parameter);
    const auto difference = [&](double step) {
      double losses[2];
      for (const int side : {0, 1}) {
        std::vector<float> moved = values;
        for (std::size_t i = 0; i < moved.size(); ++i) {
          moved[i] = static_cast<float>(moved[i] + (side == 0 ? -step : step) * direction[i]);
        }
        training_.backend->upload(tensor, moved.data());
        losses[side] = loss(lesson);
      }
      training_.backend->upload(tensor, values.data());
      return losses[1] - losses[0];
    };
    const double step = 0.2 / expected;  // of a sum over all labels
    // The third derivative cancels out.
    const double slope = (8 * difference(step) - difference(2 * step)) / (12 * step);
    EXPECT_NEAR(slope / expected, 1, 1e-3) << parameter.name;
  }
}

TEST_P(TeacherOf, EachWeightsGradientIsItsSlope) {
  expect_slopes({teacher_, lessons_});
}

TEST_P(TeacherOf, EachWeightsGradientIsItsSlopeWhereTheTeacherRanBefore) {
  expect_slopes(WrittenLessons(model_, lessons_, 5).lesson());
}

TEST_P(TeacherOf, WhatItWroteOfAllIdsIsWhatItTeaches) {
  const Teacher model{&model_, {0.7F, 1}, {49}, &scratch_};
  const LossSum expected = gradient(model, lessons_);
  const std::vector<float> taught = training_.all(Kind::gradient);
  const LossSum found = gradient(WrittenLessons(model_, lessons_, 50).lesson());
  EXPECT_NEAR(found.cross_entropy, expected.cross_entropy, 1e-5 * expected.cross_entropy);
  EXPECT_NEAR(found.divergence, expected.divergence, 1e-4 * expected.divergence);
  EXPECT_LT(relative_l2(training_.all(Kind::gradient), taught), 1e-4);
}

TEST_P(TeacherOf, TheLossOfWhatItWroteIsThatOfAPassWithoutGradients) {
  const WrittenLessons written(model_, lessons_, 5);
  const LossSum found = gradient(written.lesson());
  EXPECT_NEAR(found.loss, loss(written.lesson()), 1e-5 * found.loss);
}

TEST_P(TeacherOf, AStudentThatIsItsTeacherLearnsItsPartOfTheLabelsAlone) {
  const Weights same = initial_weights(training_.model->spec(), 1);
  const Model model(small_family(GetParam()), *training_.backend,
                    source_of(training_.model->spec(), same));
  Scratch scratch(*training_.backend);
  const Teacher teacher{&model, {0.75F, 2}, {}, &scratch};
  const LossSum found = gradient(teacher, rows_);  // under the student's own mask
  EXPECT_NEAR(found.divergence, 0, 1e-6);
  const std::vector<float> taught = training_.all(Kind::gradient);
  training_.backend->run(ops::Zero{.x = training_.parameters->all(Kind::gradient)});
  TrainingScratch plain(*training_.backend);
  LossOptions quarter;
  quarter.factor = 0.25F;
  add_loss_gradient(*training_.model, rows_, quarter, plain);
  EXPECT_LT(relative_l2(taught, training_.all(Kind::gradient)), 1e-4);
}

TEST_P(TeacherOf, AStepIsTheSameInOnePassAndInSeveral) {
  const WrittenLessons written(model_, lessons_, 5);
  for (const bool ran_before : {false, true}) expect_same_step(ran_before ? &written : nullptr);
}

void TeacherOf::expect_same_step(const WrittenLessons* written) {
  std::vector<std::vector<float>> results;
  for (const std::int64_t tokens : {0, 1}) {
    const TrainingModel training = small_training_model(GetParam());
    const Model model(small_family(GetParam()), *training.backend,
                      source_of(training.model->spec(), weights_));
    Scratch scratch(*training.backend);
    TrainingScratch training_scratch(*training.backend);
    const Teacher teacher{&model, {0.7F, 1.5F}, {49}, &scratch};
    const Lesson lesson = written == nullptr ? Lesson{teacher, lessons_} : written->lesson();
    TrainingOptions options;
    options.adamw.lr = 1e-3;
    options.adamw.step = 1;
    options.batch_tokens = tokens;
    options.dropout = false;  // which draws by pass
    const StepResult result = train_step(*training.model, *training.parameters, rows_, options,
                                         training_scratch, &lesson);
    EXPECT_TRUE(result.applied);
    EXPECT_GT(result.divergence, 0);
    results.push_back(training.all(Kind::gradient));
  }
  EXPECT_LT(relative_l2(results[0], results[1]), 1e-5);
}

TEST_P(TeacherOf, OtherLabelsThanTheStudentsAreRefused) {
  std::vector<LabelledSequence> others = lessons_;
  others[0].sequence.ids.back() ^= 1;
  EXPECT_THROW(gradient(teacher_, others), Error);
  EXPECT_THROW(gradient(teacher_, std::span(lessons_).first(2)), Error);
}

INSTANTIATE_TEST_SUITE_P(, TeacherOf, testing::Values("llama", "t5"),
                         [](const auto& suite) { return suite.param; });

}  // namespace
}  // namespace gist
