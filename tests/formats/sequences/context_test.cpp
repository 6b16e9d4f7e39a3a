#include "formats/sequences/context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/sequences/store_of_model.h"
#include "tests/formats/word_model.h"

namespace gist {
namespace {

using testing::expect_error;
using testing::llama_store;
using testing::WordModel;

Record record_of(const std::string& text) {
  return parse_record(text, "records", 7, 3);
}

class ContextTest : public ::testing::Test {
 protected:
  ContextReader behind(const std::filesystem::path& store) const {
    ContextSource source;
    source.store = store;
    return {model_.files, model_.spec, source};
  }
  ContextReader under(const std::optional<Gisting>& gisting) const {
    ContextSource source;
    source.gisting = gisting;
    return {model_.files, model_.spec, source};
  }

  WordModel model_;
};

TEST_F(ContextTest, HasTheGistBetweenInstructionAndInput) {
  const ContextReader reader = under(model_.gisting());
  const Context context =
      reader.read(record_of(R"({"instruction": "Count the words.", "input": "cat, lake"})"), "x");
  ASSERT_EQ(context.sequence.gists.size(), 1u);
  const Interval gist = context.sequence.gists[0];
  EXPECT_EQ(gist.end - gist.begin, 1);
  EXPECT_EQ(context.sequence.ids[static_cast<std::size_t>(gist.begin)], 900);
  EXPECT_EQ(context.sequence.ids[0], 1);  // bos
  EXPECT_EQ(context.condition, Condition::gist);
  EXPECT_EQ(context.kept_tokens, 1);
  EXPECT_EQ(context.store_row, std::nullopt);
  EXPECT_EQ(context.answer_position(), context.sequence.tokens());
}

TEST_F(ContextTest, KeepsPromptAndGistUnderPosAndNothingUnderNeg) {
  const Record record = record_of(R"({"instruction": "Count the words.", "input": "cat"})");
  Gisting gisting = model_.gisting();
  gisting.condition = Condition::pos;
  const Context pos = under(gisting).read(record, "x");
  EXPECT_EQ(pos.kept_tokens, pos.sequence.gists[0].end);
  gisting.condition = Condition::neg;
  EXPECT_EQ(under(gisting).read(record, "x").kept_tokens, 0);
}

TEST_F(ContextTest, FindsAStoredGistByItsIdAndByItsPrompt) {
  ContextReader reader = behind(llama_store);
  const Context by_id = reader.read(record_of(R"({"gist": "prompt-1", "input": "cat"})"), "x");
  EXPECT_EQ(by_id.store_row, 1u);
  EXPECT_EQ(by_id.stored_tokens, 1);
  EXPECT_EQ(by_id.stored_position, 37);
  EXPECT_TRUE(by_id.sequence.gists.empty());
  EXPECT_EQ(by_id.answer_position(), 38 + by_id.sequence.tokens());

  const Context by_prompt = reader.read(
      record_of(R"({"instruction": " Leave out the first word. ", "input": "cat"})"), "x");
  EXPECT_EQ(by_prompt.store_row, 0u);
  EXPECT_EQ(by_prompt.sequence.ids, by_id.sequence.ids);
}

TEST_F(ContextTest, SharesAStoredGistAmongAllThatUseItAtOnce) {
  ContextReader reader = behind(llama_store);
  const Context first = reader.read(record_of(R"({"gist": "prompt-1", "input": "cat"})"), "x");
  const Context second = reader.read(record_of(R"({"gist": "prompt-1", "input": "lake"})"), "x");
  const Context other = reader.read(record_of(R"({"gist": "prompt-2", "input": "lake"})"), "x");
  const auto stored = reader.stored(first);
  EXPECT_EQ(stored, reader.stored(second));
  EXPECT_NE(stored, reader.stored(other));
  EXPECT_EQ(stored->tokens, 1);
  EXPECT_EQ(under(model_.gisting()).stored(Context{}), nullptr);
}

TEST_F(ContextTest, NamesTheLineOfARecordThatItCanNotRead) {
  ContextReader stored = behind(llama_store);
  expect_error(ErrorKind::data, "x:7: ", [&] { stored.read(record_of(R"({"input": "a"})"), "x"); });
  expect_error(ErrorKind::data, "no gist with id \"none\"",
               [&] { stored.read(record_of(R"({"gist": "none", "input": "a"})"), "x"); });
  expect_error(ErrorKind::data, "no gist of the instruction",
               [&] { stored.read(record_of(R"({"instruction": "Sing.", "input": "a"})"), "x"); });
  ContextReader plain = under(model_.gisting());
  expect_error(ErrorKind::data, "both \"text\" and \"instruction\"",
               [&] { plain.read(record_of(R"({"text": "a", "instruction": "b"})"), "x"); });
  expect_error(ErrorKind::data, "\"instruction\" is empty",
               [&] { plain.read(record_of(R"({"instruction": " ", "input": "a"})"), "x"); });
}

TEST_F(ContextTest, RefusesAContextThatLeavesNoPosition) {
  std::string many;
  for (int i = 0; i < 300; ++i) many += "cat, ";
  const Record record =
      record_of(R"({"instruction": "Count the words.", "input": ")" + many + "\"}");
  ContextReader reader = under(model_.gisting());
  expect_error(ErrorKind::data, "the model has 256 positions", [&] { reader.read(record, "x"); });
  EXPECT_GT(reader.read_any_length(record, "x").sequence.tokens(), 256);
}

TEST_F(ContextTest, ReadsTextsWithoutKnowingOfGists) {
  ContextReader reader = under(std::nullopt);
  const Context context = reader.read(record_of(R"({"text": "cat, lake"})"), "x");
  EXPECT_TRUE(context.sequence.gists.empty());
  EXPECT_EQ(context.condition, Condition::pos);
  ASSERT_TRUE(context.text_bytes);
  expect_error(ErrorKind::usage, "no gist.json",
               [&] { reader.read(record_of(R"({"instruction": "a", "input": "b"})"), "x"); });
}

TEST_F(ContextTest, NeedsAGistTokenUnderGist) {
  Gisting gisting = model_.gisting();
  gisting.gist_tokens = 0;
  expect_error(ErrorKind::usage, "condition gist needs at least one gist token",
               [&] { under(gisting); });
}

TEST_F(ContextTest, RefusesAStoreOfAnotherModelUnlessItMayDiffer) {
  ModelSpec other = model_.spec;
  other.family = "other";
  ContextSource source;
  source.store = llama_store;
  expect_error(ErrorKind::data, "was not made with",
               [&] { ContextReader(model_.files, other, source); });
  source.allow_mismatch = true;
  EXPECT_NO_THROW(ContextReader(model_.files, other, source));
  other.d_model *= 2;  // shapes must agree in any case
  other.stacks[0].key_dim *= 2;
  expect_error(ErrorKind::data, "was not made with",
               [&] { ContextReader(model_.files, other, source); });
}

}  // namespace
}  // namespace gist
