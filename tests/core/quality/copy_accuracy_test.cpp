#include "core/quality/copy_accuracy.h"

#include <gtest/gtest.h>

#include <array>
#include <ostream>
#include <string>
#include <string_view>

namespace gist {
namespace {

using Counts = std::array<std::uint64_t, 4>;  // numbers, copied; names, copied

Counts counts(std::string_view completion, std::string_view reference) {
  const CopyCounts c = copy_counts(completion, reference);
  return {c.numbers, c.numbers_copied, c.names, c.names_copied};
}

/// Returns how many names a text has.
std::uint64_t names(std::string_view text) {
  return copy_counts("", text).names;
}

TEST(CopyCounts, CountsNumbersAndNamesThatStandInTheCompletion) {
  EXPECT_EQ(counts("In 1923 it was Paris.", "We met Marie in Paris in 1923, for 5 days"),
            (Counts{2, 1, 2, 1}));
  EXPECT_EQ(counts("anything 5 Paris", "no name here"), (Counts{0, 0, 0, 0}));
  EXPECT_EQ(counts("", ""), (Counts{0, 0, 0, 0}));
}

TEST(CopyCounts, CountsRepetitionsAsOftenAsBothHaveThem) {
  EXPECT_EQ(counts("7 7", "7 and 7 and 7"), (Counts{3, 2, 0, 0}));
  EXPECT_EQ(counts("7 7 7", "a 7"), (Counts{1, 1, 0, 0}));
}

TEST(CopyCounts, NumbersAreWordsWithDigits) {
  EXPECT_EQ(counts("3.14 1,000 12:30 1/2 2024-01-31 2nd A4 x_1",
                   "(3.14), 1,000. 12:30; 1/2! 2024-01-31? \"2nd\" A4 x_1"),
            (Counts{8, 8, 0, 0}));
  EXPECT_EQ(counts("5 5 5", "$5 5% x=5"), (Counts{3, 3, 0, 0}));
  EXPECT_EQ(counts("3", "3.0"), (Counts{1, 0, 0, 0}));
  EXPECT_EQ(counts("\xD9\xA3", "\xD9\xA3"), (Counts{1, 1, 0, 0}));  // Arabic 3
}

TEST(CopyCounts, ASignBelongsToANumberThatNoWordPrecedes) {
  EXPECT_EQ(counts("3", "-3"), (Counts{1, 0, 0, 0}));
  EXPECT_EQ(counts("(-3)", "-3"), (Counts{1, 1, 0, 0}));
  EXPECT_EQ(counts("10-20", "10 -20"), (Counts{2, 0, 0, 0}));
}

TEST(CopyCounts, NamesAreSpelledAlike) {
  EXPECT_EQ(counts("paris and ROME", "see Paris and Rome"), (Counts{0, 0, 2, 0}));
  EXPECT_EQ(counts("Lily\xE2\x80\x99s O'Neill Jean-Luc", "by Lily, Jean-Luc's and O'Neill"),
            (Counts{0, 0, 3, 3}));
  EXPECT_EQ(counts("\xC3\x89lise \xC3\x96l", "see \xC3\x89lise in \xC3\x96l"),
            (Counts{0, 0, 2, 2}));
}

TEST(CopyCounts, AtTheStartOfASentenceACapitalIsNoEvidenceOfAName) {
  EXPECT_EQ(names("Paris"), 0);
  EXPECT_EQ(names("We left. They stayed! Why? Nobody knows: No\nOne"), 0);
  EXPECT_EQ(names("He said \"Go\""), 0);
  EXPECT_EQ(names("1. Paris"), 0);
}

TEST(CopyCounts, UnlessItHasAnotherOrIsANameElsewhere) {
  EXPECT_EQ(names("NASA and McDonald. DNA"), 3);
  EXPECT_EQ(names("Lily left. We saw Lily go. Lily ran"), 3);
}

TEST(CopyCounts, TheStopOfATitleOrAnInitialEndsNoSentence) {
  EXPECT_EQ(names("see Mr. Smith"), 2);
  EXPECT_EQ(names("by J. R. Smith of the U.S. Army"), 5);
  EXPECT_EQ(names("see Rome. Smith left"), 1);
}

TEST(CopyCounts, IIsNoName) {
  EXPECT_EQ(names("what I think I'm, I\xE2\x80\x99ll"), 0);
}

TEST(CopyCounts, AddUp) {
  CopyCounts sum{1, 1, 2, 0};
  sum += {2, 1, 3, 3};
  EXPECT_EQ((Counts{sum.numbers, sum.numbers_copied, sum.names, sum.names_copied}),
            (Counts{3, 2, 5, 3}));
}

TEST(CopyCounts, TakesAnyBytes) {
  EXPECT_EQ(counts("\xFF"
                   "5\xC3",
                   "\xC3"
                   "5\xFF-"),
            (Counts{1, 1, 0, 0}));
  EXPECT_EQ(counts("-", "'-.,:/_"), (Counts{0, 0, 0, 0}));
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "A1 Bc ";
  EXPECT_EQ(counts(text, text), (Counts{100'000, 100'000, 100'000, 100'000}));
}

}  // namespace
}  // namespace gist
