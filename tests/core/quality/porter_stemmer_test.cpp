#include "core/quality/porter_stemmer.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/core/quality/golden.h"

namespace gist {
namespace {

std::string stem(std::string word) {
  word.resize(porter_stem(word));
  return word;
}

TEST(PorterStem, EqualsNltksStemmer) {
  for (const auto& row : golden("stems")) {
    const auto word = row.at(0).get<std::string>();
    EXPECT_EQ(stem(word), row.at(1).get<std::string>()) << word;
  }
}

TEST(PorterStem, TakesTheExamplesOfThePaperThroughItsSteps) {
  EXPECT_EQ(stem("caresses"), "caress");
  EXPECT_EQ(stem("ponies"), "poni");
  EXPECT_EQ(stem("feed"), "feed");
  EXPECT_EQ(stem("plastered"), "plaster");
  EXPECT_EQ(stem("sing"), "sing");
  EXPECT_EQ(stem("hopping"), "hop");
  EXPECT_EQ(stem("filing"), "file");
  EXPECT_EQ(stem("relational"), "relat");
  EXPECT_EQ(stem("generalizations"), "gener");
  EXPECT_EQ(stem("oscillators"), "oscil");
  EXPECT_EQ(stem("controll"), "control");
}

TEST(PorterStem, DiffersFromThePaperWhereNltkDoes) {
  EXPECT_EQ(stem("skies"), "sky");  // an irregular form
  EXPECT_EQ(stem("news"), "news");
  EXPECT_EQ(stem("dies"), "die");  // four letters
  EXPECT_EQ(stem("flies"), "fli");
  EXPECT_EQ(stem("died"), "die");
  EXPECT_EQ(stem("spied"), "spi");
  EXPECT_EQ(stem("enjoy"), "enjoy");  // y after a vowel
  EXPECT_EQ(stem("spy"), "spi");      // no vowel before the y
  EXPECT_EQ(stem("geologi"), "geolog");
  EXPECT_EQ(stem("hopefulli"), "hope");
  EXPECT_EQ(stem("rationalli"), "ration");
  EXPECT_EQ(stem("owed"), "owe");  // a short syllable of two letters
}

TEST(PorterStem, TurnsOfYsAreVowelsAndConsonants) {
  EXPECT_EQ(stem("syzygies"), "syzygi");
  EXPECT_EQ(stem("yyed"), "yy");  // consonant, vowel
  EXPECT_EQ(stem("ying"), "ying");
}

TEST(PorterStem, LeavesShortWordsAndDigitsAlone) {
  for (const char* word : {"", "s", "is", "42", "2024"}) EXPECT_EQ(stem(word), word);
  EXPECT_EQ(stem("1980s"), "1980");
}

TEST(PorterStem, TakesLongWords) {
  EXPECT_EQ(stem(std::string(1'000'000, 'y') + "ing").size(), 1'000'000);
  EXPECT_EQ(stem(std::string(1'000'000, 's')), std::string(1'000'000, 's'));
}

}  // namespace
}  // namespace gist
