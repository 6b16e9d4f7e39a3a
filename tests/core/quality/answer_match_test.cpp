#include "core/quality/answer_match.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/core/quality/golden.h"

namespace gist {
namespace {

TEST(ExactMatch, LeavesWhiteSpaceAroundTextsOut) {
  EXPECT_TRUE(exact_match(" a b\n", "a b"));
  EXPECT_TRUE(exact_match("", " \t\n\v\f\r"));
  EXPECT_FALSE(exact_match("a  b", "a b"));
  EXPECT_FALSE(exact_match("A", "a"));
  EXPECT_FALSE(exact_match("a\xC2\xA0", "a"));  // no ASCII white space
}

TEST(NormalizedAnswer, HasNoCasePunctuationOrArticles) {
  EXPECT_EQ(normalized_answer("The  Cat's (an) a-b,\n\"theatre\" A"), "cats ab theatre");
  EXPECT_EQ(normalized_answer("\xC3\x89"
                              "COLE a\xC2\xA0"
                              "b"),
            "\xC3\xA9"
            "cole b");
  // Punctuation beyond ASCII stays, and ends words: “The end”
  EXPECT_EQ(normalized_answer("\xE2\x80\x9CThe end\xE2\x80\x9D"), "\xE2\x80\x9C end\xE2\x80\x9D");
  EXPECT_EQ(normalized_answer(" ... the"), "");
}

TEST(NormalizedAnswer, EqualsSquads) {
  for (const auto& row : golden("normalized")) {
    const auto text = row.at(0).get<std::string>();
    EXPECT_EQ(normalized_answer(text), row.at(1).get<std::string>()) << text;
  }
}

TEST(TokenF1, IsTheHarmonicMeanOfPrecisionAndRecall) {
  // 2 of 3 words, and 2 of 4.
  EXPECT_DOUBLE_EQ(token_f1("red green pink", "green blue red grey"), 4.0 / 7);
  EXPECT_DOUBLE_EQ(token_f1("red red red", "red red"), 0.8);  // multisets
  EXPECT_EQ(token_f1("The red!", "a RED"), 1);
  EXPECT_EQ(token_f1("red", "blue"), 0);
}

TEST(TokenF1, WithoutWordsIsAllOrNothing) {
  EXPECT_EQ(token_f1("", ""), 1);
  EXPECT_EQ(token_f1("the", "!"), 1);
  EXPECT_EQ(token_f1("", "red"), 0);
  EXPECT_EQ(token_f1("red", "a"), 0);
}

TEST(TokenF1, EqualsSquads) {
  for (const auto& pair : golden("pairs")) {
    const auto completion = pair.at("completion").get<std::string>();
    const auto reference = pair.at("reference").get<std::string>();
    EXPECT_NEAR(token_f1(completion, reference), pair.at("token_f1").get<double>(), 1e-12)
        << completion << " | " << reference;
  }
}

TEST(WordCount, CountsWhatWhiteSpaceSeparates) {
  EXPECT_EQ(word_count(""), 0);
  EXPECT_EQ(word_count(" \n"), 0);
  EXPECT_EQ(word_count(" a  b-c\n\xC3\xA9\xE3\x80\x80"
                       "d "),
            4);
}

TEST(AnswerMatch, TakesAnyBytes) {
  const std::string bytes = "\xFF\xC3 \xED\xA0\x80";
  EXPECT_EQ(token_f1(bytes, bytes), 1);
  EXPECT_EQ(word_count(bytes), 2);
  EXPECT_TRUE(exact_match(bytes, bytes + "\n"));
}

}  // namespace
}  // namespace gist
