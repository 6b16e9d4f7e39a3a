#include <gtest/gtest.h>

#include <cmath>

#include "core/answer_loss.h"
#include "kernels/error.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

class AnswerLossOf : public testing::Test {
 protected:
  LoadedModel loaded_ = random_model(small_shape());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};
};

TEST_F(AnswerLossOf, IsTheCrossEntropyOfItsLogits) {
  LabelledSequence row;
  row.sequence.ids = random_ids(12, 50, 3);
  row.labels = 5;
  const auto logits = label_logits(model_, {&row, 1}, scratch_)[0];
  double sum = 0;
  std::int32_t correct = 0;
  for (std::size_t i = 0; i < 5; ++i) {
    const auto begin = logits.begin() + static_cast<std::ptrdiff_t>(50 * i);
    const auto label = row.sequence.ids[7 + i];
    double total = 0;
    for (auto at = begin; at != begin + 50; ++at) total += std::exp(double{*at});
    sum += std::log(total) - double{begin[label]};
    correct += std::max_element(begin, begin + 50) - begin == label ? 1 : 0;
  }
  const AnswerLoss loss = answer_loss(model_, {&row, 1}, scratch_)[0];
  EXPECT_NEAR(loss.sum, sum, 1e-5 * sum);
  EXPECT_EQ(loss.labels, 5);
  EXPECT_EQ(loss.correct, correct);
}

TEST_F(AnswerLossOf, NeedsATokenBeforeTheFirstLabel) {
  LabelledSequence row;
  row.sequence.ids = {1, 2, 3};
  for (const std::int32_t labels : {0, 3, 4}) {
    row.labels = labels;
    EXPECT_THROW(answer_loss(model_, {&row, 1}, scratch_), Error) << labels;
  }
  row.labels = 2;
  EXPECT_NO_THROW(answer_loss(model_, {&row, 1}, scratch_));
}

TEST_F(AnswerLossOf, NothingIsNothing) {
  EXPECT_TRUE(answer_loss(model_, {}, scratch_).empty());
  EXPECT_TRUE(compress(model_, {}, {}, Condition::gist, scratch_).empty());
}

}  // namespace
}  // namespace gist
