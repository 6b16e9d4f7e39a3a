#include "formats/model/word_encoder.h"

#include <sentencepiece_processor.h>

#include <array>
#include <memory>
#include <random>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

/// A field of a protocol buffer's message: a number, or bytes.
std::string field(int number, std::uint64_t value) {
  std::string text(1, '\0');
  text[0] = static_cast<char>(number << 3U);
  if (number >= 16) text = {static_cast<char>((number << 3U & 0x7FU) | 0x80U), char(number >> 4U)};
  return text + static_cast<char>(value);
}
std::string field(int number, const std::string& bytes) {
  return std::string(1, static_cast<char>(number << 3U | 2U)) + static_cast<char>(bytes.size()) +
         bytes;
}
std::string piece(const std::string& text, std::uint64_t type = 1) {
  return field(1, field(1, text) + field(3, type));
}

const std::string bpe = field(2, field(3, std::uint64_t{2}) + field(35, std::uint64_t{1}));
const std::string as_it_is = field(3, field(4, std::uint64_t{0}));
const std::string pieces = piece("▁") + piece("▁▁a") + piece("a");

void expect_cuts(const std::string& model, bool at_spaces, bool at_line_ends) {
  EXPECT_EQ(text_cuts(model).at_spaces, at_spaces);
  EXPECT_EQ(text_cuts(model).at_line_ends, at_line_ends);
}

TEST(TextCuts, AreWhereNoPieceGoesOn) {
  expect_cuts(pieces + bpe + as_it_is, true, true);
  expect_cuts(pieces + bpe + as_it_is + piece("a▁"), false, true);
  expect_cuts(pieces + bpe + as_it_is + piece("▁a▁b", 4), false, true);
  expect_cuts(pieces + bpe + as_it_is + piece("a b", 5), false, true);
  expect_cuts(pieces + bpe + as_it_is + piece("\n"), true, false);
  expect_cuts(pieces + bpe + as_it_is + piece("a▁", 3) + piece("\n", 6), true, true);
}

TEST(TextCuts, AreThereWithoutASpaceBeforeTextsToo) {
  const std::string model = pieces + bpe + as_it_is;
  EXPECT_TRUE(text_cuts(model).space_before_text);
  const std::string bare = without_space_before_text(model).value();
  EXPECT_FALSE(text_cuts(bare).space_before_text);
  expect_cuts(bare, true, true);
}

TEST(TextCuts, NeedTheSpaceBeforeTextsWhereTheirWhiteSpaceIsTakenOff) {
  EXPECT_FALSE(without_space_before_text(pieces + bpe));
  EXPECT_FALSE(without_space_before_text(""));
}

TEST(TextCuts, AreNowhereWhereTheWholeTextCounts) {
  expect_cuts("", false, false);
  expect_cuts("\xFF\xFF\xFF", false, false);
  expect_cuts(pieces + as_it_is, false, false);            // Unigram
  expect_cuts(pieces + bpe, false, false);                 // takes spaces off
  expect_cuts(piece("a") + bpe + as_it_is, false, false);  // no space
  expect_cuts(pieces + bpe + field(3, field(4, std::uint64_t{0}) + field(2, "map")), false, false);
  expect_cuts(pieces + field(2, field(3, std::uint64_t{2})) + as_it_is, true, false);  // no bytes
}

using Processor = sentencepiece::SentencePieceProcessor;

std::unique_ptr<Processor> loaded(const std::string& model) {
  auto processor = std::make_unique<Processor>();
  EXPECT_TRUE(processor->LoadFromSerializedProto(model).ok());
  return processor;
}

std::string model_at(const std::string& path, bool bare) {
  const std::string model = content_of(fixtures / "models" / path);
  return bare ? without_space_before_text(model).value() : model;
}

/// A vocabulary file, and whether it goes without a space before texts.
class WordEncoderTest : public ::testing::TestWithParam<std::pair<const char*, bool>> {
 protected:
  void expect_whole(const std::string& text) {
    std::vector<int> whole;
    EXPECT_TRUE(processor_->Encode(text, &whole).ok());
    EXPECT_EQ(encoder_.encode(text), whole) << ::testing::PrintToString(text);
  }
  const std::string model_ = model_at(GetParam().first, GetParam().second);
  const std::unique_ptr<Processor> processor_ = loaded(model_);
  const WordEncoder encoder_{*processor_, model_};
};

INSTANTIATE_TEST_SUITE_P(Models, WordEncoderTest,
                         ::testing::Values(std::pair("stories260K/tokenizer.model", false),
                                           std::pair("stories260K/tokenizer.model", true),
                                           std::pair("wordtasks-llama-gist/tokenizer.model", false),
                                           std::pair("wordtasks-llama-gist/tokenizer.model", true),
                                           std::pair("wordtasks-t5-gist/spiece.model", false)));

TEST_P(WordEncoderTest, GivesTheIdsOfTheWholeText) {
  constexpr auto parts = std::to_array<const char*>(
      {" ", "  ",   "\n",          "\n\n", "▁",    "a",      "the",  "ing",
       "é", "日本", "\t",          "\r",   "<s>",  "<0x0A>", "🐈",    "\u00a0",
       ".", "1",    "Instruction", "x",    "  \n", " \n ",   "\x7f", "\u0301"});
  std::mt19937 random(7);
  for (int i = 0; i < 3000; ++i) {
    std::string text;
    for (std::size_t count = random() % 14; count > 0; --count) {
      text += parts[random() % parts.size()];
    }
    expect_whole(text);
  }
}

TEST_P(WordEncoderTest, RefusesOnlyWhatItCantTakeApart) {
  const std::string word(WordEncoder::longest_part + 1, 'a');
  expect_error(ErrorKind::data, "1048577 bytes of text that can't be taken apart",
               [&] { encoder_.encode(word); });
  if (!text_cuts(model_).at_spaces) return;
  std::string words;
  while (words.size() <= WordEncoder::longest_part) words += "a word\n";
  EXPECT_GT(encoder_.encode(words).size(), words.size() / 7);
}

TEST(WordEncoder, TakesTextsApartForOurLlamaModels) {
  EXPECT_TRUE(text_cuts(content_of(fixtures / "models/stories260K/tokenizer.model")).at_spaces);
  EXPECT_FALSE(text_cuts(content_of(fixtures / "models/wordtasks-t5-gist/spiece.model")).at_spaces);
}

}  // namespace
}  // namespace gist
