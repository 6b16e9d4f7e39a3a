// Going on from stored gists equals the full masked pass over prompt, gist, input and completion.
#include <gtest/gtest.h>

#include "core/answer_loss.h"
#include "tests/core/golden.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/core/test_backend.h"

namespace gist {
namespace {

constexpr double invariant_tolerance = 1e-5;

class GistInvariant : public testing::TestWithParam<std::string> {
 protected:
  /// A prompt of `before` tokens, k gist tokens, and `after` tokens.
  Sequence sequence(std::int32_t before, std::int32_t k, std::int32_t after,
                    std::uint32_t seed) const {
    const std::int32_t gist_token = gist_token_of(GetParam());
    Sequence result;
    result.ids = random_ids(static_cast<std::size_t>(before + k + after), gist_token, seed);
    result.gists = {{before, before + k}};
    std::fill_n(result.ids.begin() + before, k, gist_token);
    return result;
  }
  /// Lengths, offsets and k from the smallest to where attention takes several tiles.
  std::vector<Sequence> mixed_sequences() const {
    return {sequence(3, 1, 4, 1),  sequence(0, 2, 5, 2),    sequence(40, 3, 30, 3),
            sequence(1, 17, 2, 4), sequence(100, 1, 90, 5), sequence(12, 4, 1, 6)};
  }
  /// All that follows the gist; of an encoder-decoder half of it, for the rest is its input.
  std::int32_t labels_of(const Sequence& whole) const {
    const std::int32_t after = whole.tokens() - whole.gists[0].end;
    return encoder_decoder() ? after - after / 2 : after;
  }
  LabelledSequence full(const Sequence& whole, Condition condition) const {
    return {whole, labels_of(whole), condition, nullptr, 0};
  }
  LabelledSequence from_store(const Sequence& whole, const GistActivations& stored) const {
    return {tail_of(whole), labels_of(whole), Condition::pos, &stored, whole.gists[0].begin};
  }
  bool encoder_decoder() const { return model_.spec().encoder_decoder(); }

  LoadedModel loaded_ = load_model(GetParam());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};
};

TEST_P(GistInvariant, HoldsForMixedLengthsOffsetsAndKInOneBatch) {
  const std::vector<Sequence> wholes = mixed_sequences();
  std::vector<Sequence> heads;
  std::vector<Interval> kept;
  std::vector<LabelledSequence> full_rows;
  for (const Sequence& whole : wholes) {
    heads.push_back(head_of(whole));
    kept.push_back(whole.gists[0]);
    full_rows.push_back(full(whole, Condition::gist));
  }
  const auto gists = compress(model_, heads, kept, Condition::gist, scratch_);
  std::vector<LabelledSequence> stored_rows;
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    stored_rows.push_back(from_store(wholes[i], gists[i]));
  }
  // Every label counts, the first after the gist too: the stored hidden state predicts it.
  const auto expected = label_logits(model_, full_rows, scratch_);
  const auto actual = label_logits(model_, stored_rows, scratch_);
  const auto expected_loss = answer_loss(model_, full_rows, scratch_);
  const auto actual_loss = answer_loss(model_, stored_rows, scratch_);
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_LE(relative_error(actual[i], expected[i]), invariant_tolerance);
    EXPECT_EQ(actual_loss[i].labels, labels_of(wholes[i]));
    EXPECT_NEAR(actual_loss[i].sum, expected_loss[i].sum,
                invariant_tolerance * expected_loss[i].sum);
    EXPECT_EQ(actual_loss[i].correct, expected_loss[i].correct);
  }
}

TEST_P(GistInvariant, HoldsAmongRowsOfEveryCondition) {
  const Sequence whole = sequence(30, 2, 9, 11);
  const Sequence other = sequence(7, 1, 12, 12);
  const GistActivations stored = compress_one(model_, whole, scratch_);
  const std::vector<LabelledSequence> separate{
      full(whole, Condition::gist), full(other, Condition::pos), full(other, Condition::neg),
      full(other, Condition::gist)};
  std::vector<LabelledSequence> together = separate;
  together.push_back(from_store(whole, stored));
  const auto expected = label_logits(model_, separate, scratch_);
  const auto actual = label_logits(model_, together, scratch_);
  for (std::size_t i = 0; i < separate.size(); ++i) {
    EXPECT_LE(relative_error(actual[i], expected[i]), invariant_tolerance) << i;
  }
  EXPECT_LE(relative_error(actual[4], expected[0]), invariant_tolerance);
}

TEST_P(GistInvariant, GenerationFromTheStoreEqualsGenerationUnderTheMask) {
  GenerationOptions options;
  options.max_new_tokens = generated_tokens(12);
  options.sampling.banned = gist_token_of(GetParam());
  // The last ends with its gist: from the store, nothing is left to read.
  const std::vector<Sequence> wholes{sequence(20, 1, 6, 21), sequence(0, 3, 2, 22),
                                     sequence(45, 2, 1, 23), sequence(18, 3, 0, 24)};
  std::vector<GistActivations> gists;
  for (const Sequence& whole : wholes) gists.push_back(compress_one(model_, whole, scratch_));
  std::vector<GenerationRequest> masked, stored;
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    masked.push_back({wholes[i], Condition::gist, nullptr, 0, i});
    stored.push_back({tail_of(wholes[i]), Condition::pos, &gists[i], wholes[i].gists[0].begin, i});
  }
  EXPECT_EQ(ids_of(complete(model_, options, stored)), ids_of(complete(model_, options, masked)));
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    EXPECT_EQ(ids_of(complete(model_, options, {stored[i]})),
              ids_of(complete(model_, options, {masked[i]})))
        << i;
  }
}

TEST_P(GistInvariant, GeneratedTokensAreTheMaskedPassesFirstChoices) {
  GenerationOptions options;
  options.max_new_tokens = generated_tokens(10);
  options.sampling.banned = gist_token_of(GetParam());
  for (const Condition condition : {Condition::gist, Condition::neg, Condition::pos}) {
    for (const std::int32_t after : {0, 5}) {  // 0: the gist is the last token that is read
      Sequence whole = sequence(25, 2, after, 31);
      const auto ids = complete(model_, options, {{whole, condition, nullptr, 0, 0}})[0].ids;
      whole.ids.insert(whole.ids.end(), ids.begin(), ids.end());
      const LabelledSequence row{whole, static_cast<std::int32_t>(ids.size()), condition, nullptr,
                                 0};
      EXPECT_EQ(answer_loss(model_, {&row, 1}, scratch_)[0].correct, row.labels)
          << name_of(condition) << ", " << after << " tokens after the gist";
    }
  }
}

TEST_P(GistInvariant, AWholeStoredPromptEqualsPos) {
  if (encoder_decoder()) return;  // an encoder's prompt sees the input: it can't be stored whole
  std::vector<Sequence> heads;
  std::vector<Interval> kept;
  std::vector<LabelledSequence> pos_rows;
  const std::vector<Sequence> wholes = mixed_sequences();
  for (const Sequence& whole : wholes) {
    heads.push_back(head_of(whole));
    kept.push_back({0, whole.gists[0].end});
    pos_rows.push_back(full(whole, Condition::pos));
  }
  const auto prompts = compress(model_, heads, kept, Condition::pos, scratch_);
  std::vector<LabelledSequence> stored_rows;
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    LabelledSequence row = from_store(wholes[i], prompts[i]);
    row.stored_position = 0;
    stored_rows.push_back(row);
  }
  const auto expected = label_logits(model_, pos_rows, scratch_);
  const auto actual = label_logits(model_, stored_rows, scratch_);
  for (std::size_t i = 0; i < wholes.size(); ++i) {
    EXPECT_LE(relative_error(actual[i], expected[i]), invariant_tolerance) << i;
  }
}

// RoPE is relative: a gist and its input may move together. Learned positions are not.
TEST_P(GistInvariant, APlaceElsewhereMovesTheWholeRow) {
  const Sequence whole = sequence(10, 2, 8, 41);
  const GistActivations stored = compress_one(model_, whole, scratch_);
  const LabelledSequence here = from_store(whole, stored);
  LabelledSequence there = here;
  there.stored_position += 19;
  LabelledSequence apart = here;  // the gist alone is elsewhere: another computation
  apart.sequence.ids.insert(apart.sequence.ids.begin(), 5);
  const auto logits = label_logits(model_, std::vector{here, there, apart}, scratch_);
  if (model_.spec().key_position == KeyPosition::absolute) {
    EXPECT_GT(relative_error(logits[1], logits[0]), 1e-3);
  } else {
    EXPECT_LE(relative_error(logits[1], logits[0]), 1e-4);
  }
  EXPECT_GT(relative_error(logits[2], logits[0]), 1e-3);
}

INSTANTIATE_TEST_SUITE_P(, GistInvariant, testing::ValuesIn(golden_sets()),
                         [](const auto& suite) { return set_name(suite.param); });

}  // namespace
}  // namespace gist
