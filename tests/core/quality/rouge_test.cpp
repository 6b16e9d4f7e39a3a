#include "core/quality/rouge.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/core/quality/golden.h"

namespace gist {
namespace {

RougeScores rouge(std::string_view completion, std::string_view reference, bool stemmer = false) {
  return RougeScorer(stemmer).score(completion, reference);
}

void expect_score(const RougeScore& score, double precision, double recall, double f) {
  EXPECT_DOUBLE_EQ(score.precision, precision);
  EXPECT_DOUBLE_EQ(score.recall, recall);
  EXPECT_DOUBLE_EQ(score.f, f);
}

std::array<RougeScore, 4> all(const RougeScores& scores) {
  return {scores.rouge1, scores.rouge2, scores.rougeL, scores.rougeLsum};
}

TEST(Rouge, CountsNGramsAndSubsequences) {
  const RougeScores scores = rouge("the dog and the cat", "the cat and the big dog");
  expect_score(scores.rouge1, 5.0 / 5, 5.0 / 6, 10.0 / 11);  // the twice, dog, and, cat
  expect_score(scores.rouge2, 2.0 / 4, 2.0 / 5, 4.0 / 9);    // the cat, and the
  expect_score(scores.rougeL, 3.0 / 5, 3.0 / 6, 6.0 / 11);   // the and the
  expect_score(scores.rougeLsum, 3.0 / 5, 3.0 / 6, 6.0 / 11);
}

TEST(Rouge, LsumUnitesTheSubsequencesOfLines) {
  // Lin 2004, section 3.2: the union of w1 w2 and w1 w3 w5 in w1 .. w5 is w1 w2 w3 w5.
  const RougeScores scores = rouge("w1 w3 w8 w9 w5\nw1 w2 w6 w7 w8", "w1 w2 w3 w4 w5");
  expect_score(scores.rougeLsum, 4.0 / 10, 4.0 / 5, 8.0 / 15);
  expect_score(scores.rougeL, 3.0 / 10, 3.0 / 5, 6.0 / 15);
}

TEST(Rouge, LsumCountsNoWordMoreOftenThanTheCompletionHasIt) {
  expect_score(rouge("a b", "a\na\na").rougeLsum, 1.0 / 2, 1.0 / 3, 2.0 / 5);
}

TEST(Rouge, OneScorersPairsAreIndependent) {
  RougeScorer scorer(true);
  const std::string long_text(100'000, 'x');
  scorer.score(long_text + " some other words\nin lines", "words in other lines");
  expect_score(scorer.score("a b", "b a").rougeL, 0.5, 0.5, 0.5);
  scorer.score("", "");
  expect_score(scorer.score("running b", "runs b").rouge2, 1, 1, 1);
}

TEST(Rouge, StemsWordsOfMoreThanThreeCharacters) {
  expect_score(rouge("flies running was", "fly run wa", true).rouge1, 1.0 / 3, 1.0 / 3, 1.0 / 3);
  expect_score(rouge("hopping", "hops", true).rouge1, 1, 1, 1);
  expect_score(rouge("hopping", "hops", false).rouge1, 0, 0, 0);
}

TEST(Rouge, WordsAreAsciiLettersAndDigitsInLowerCase) {
  expect_score(rouge("Hello,WORLD-42_x", "hello world 42 x").rouge2, 1, 1, 1);
  expect_score(rouge("caf\xC3\xA9", "caf").rouge1, 1, 1, 1);
  expect_score(rouge("\xE2\x84\xAA"
                     "elvin",
                     "kelvin")
                   .rouge1,
               1, 1, 1);                                                    // Kelvin sign
  expect_score(rouge("x\xC4\xB0stanbul", "xi stanbul").rouge2, 1, 1, 1);    // I with dot above
  expect_score(rouge("\xC3\x84\xE4\xBA\xAC", "\xC3\x84").rouge1, 0, 0, 0);  // no word
}

TEST(Rouge, WithoutWordsIsZero) {
  for (const char* text : {"", " \n", "!?", "\n\n"}) {
    for (const char* other : {"", "a b\nc", "..."}) {
      for (const RougeScore& score : all(rouge(text, other))) expect_score(score, 0, 0, 0);
      for (const RougeScore& score : all(rouge(other, text))) expect_score(score, 0, 0, 0);
    }
  }
}

TEST(Rouge, BytesThatAreNoUtf8Separate) {
  const std::string bytes =
      "a\xFF"
      "b\xC3 c\xC4\xC4\xB0"
      "d\xE2\x84\xE2\x84\xAA";
  expect_score(rouge(bytes, "a b c i d k").rouge2, 1, 1, 1);
  expect_score(rouge("a\xE2\x84", "a").rouge1, 1, 1, 1);
  expect_score(rouge("a\xC4", "a").rouge1, 1, 1, 1);
  expect_score(rouge(std::string_view("a\0b", 3), "a b").rouge2, 1, 1, 1);
}

TEST(Rouge, TakesLongLines) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "w" + std::to_string(i * 7919LL % 30'000) + " ";
  for (const RougeScore& score : all(rouge(text, text))) expect_score(score, 1, 1, 1);
  for (const RougeScore& score : all(rouge(text + "\nend", text + "\nend"))) {
    expect_score(score, 1, 1, 1);
  }
}

TEST(Rouge, EqualsRougeScore) {
  RougeScorer plain(false), stemming(true);
  const auto expect_equal = [](const RougeScores& scores, const std::vector<double>& expected) {
    auto number = expected.begin();
    for (const RougeScore& score : all(scores)) {
      EXPECT_NEAR(score.precision, *number++, 1e-12);
      EXPECT_NEAR(score.recall, *number++, 1e-12);
      EXPECT_NEAR(score.f, *number++, 1e-12);
    }
  };
  for (const auto& pair : golden("pairs")) {
    const auto completion = pair.at("completion").get<std::string>();
    const auto reference = pair.at("reference").get<std::string>();
    SCOPED_TRACE(completion + " | " + reference);
    expect_equal(plain.score(completion, reference), pair.at("rouge"));
    expect_equal(stemming.score(completion, reference), pair.at("rouge_stemmer"));
  }
}

}  // namespace
}  // namespace gist
