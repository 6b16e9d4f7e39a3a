// Rows of a packed batch don't know of each other.
#include <gtest/gtest.h>

#include "core/answer_loss.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

class Packed : public testing::TestWithParam<std::string> {
 protected:
  LoadedModel loaded_ = small_model(GetParam());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};

  std::vector<LabelledSequence> rows() const {
    std::vector<LabelledSequence> result;
    const std::int32_t lengths[] = {2, 17, 5, 33, 64, 9};
    for (std::uint32_t i = 0; i < 6; ++i) {
      LabelledSequence row;
      row.sequence.ids = random_ids(static_cast<std::size_t>(lengths[i]), 50, i);
      row.sequence.gists = {{lengths[i] / 3, lengths[i] / 3 + 1}};
      row.labels = (lengths[i] + 1) / 2;
      row.condition = static_cast<Condition>(i % 3);
      result.push_back(row);
    }
    return result;
  }
};

TEST_P(Packed, LogitsAndLossEqualThoseOfEachRowAlone) {
  const auto sequences = rows();
  const auto together = label_logits(model_, sequences, scratch_);
  const auto losses = answer_loss(model_, sequences, scratch_);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    SCOPED_TRACE(i);
    const auto alone = label_logits(model_, {&sequences[i], 1}, scratch_)[0];
    EXPECT_LE(relative_error(together[i], alone), 1e-5);
    const AnswerLoss loss = answer_loss(model_, {&sequences[i], 1}, scratch_)[0];
    EXPECT_NEAR(losses[i].sum, loss.sum, 1e-5 * loss.sum);
    EXPECT_EQ(losses[i].labels, sequences[i].labels);
    EXPECT_EQ(losses[i].correct, loss.correct);
  }
}

TEST_P(Packed, CompressedPromptsEqualThoseOfEachRowAlone) {
  std::vector<Sequence> sequences;
  std::vector<Interval> kept;
  for (const LabelledSequence& row : rows()) {
    sequences.push_back(row.sequence);
    kept.push_back(row.sequence.gists[0]);
  }
  kept[3] = {4, 20};  // as many tokens as the caller asks for
  const auto together = compress(model_, sequences, kept, Condition::gist, scratch_);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    SCOPED_TRACE(i);
    const auto alone =
        compress(model_, {&sequences[i], 1}, {&kept[i], 1}, Condition::gist, scratch_)[0];
    EXPECT_EQ(together[i].tokens, kept[i].end - kept[i].begin);
    EXPECT_LE(relative_error(together[i].key, alone.key), 1e-5);
    EXPECT_LE(relative_error(together[i].value, alone.value), 1e-5);
    EXPECT_LE(relative_error(together[i].hidden, alone.hidden), 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(, Packed, testing::ValuesIn(small_families()),
                         [](const auto& suite) { return suite.param; });

}  // namespace
}  // namespace gist
