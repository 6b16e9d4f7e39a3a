#include "cli/report/word_diff.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace gist {
namespace {

/// The parts as "same +added -missing".
std::string parts(std::string_view text, std::string_view reference, std::size_t cells = 1 << 20) {
  std::string all;
  for (const DiffPart& part : word_diff(text, reference, cells)) {
    all += part.kind == DiffPart::Kind::same ? "" : part.kind == DiffPart::Kind::added ? "+" : "-";
    all += "[" + std::string(part.text) + "]";
  }
  return all;
}

TEST(WordDiff, EqualTextsAreOnePart) {
  EXPECT_EQ(parts("a b  c", "a b c"), "[a b  c]");
  EXPECT_EQ(parts("", ""), "");
}

TEST(WordDiff, ChangedWordsAreMissingAndAdded) {
  EXPECT_EQ(parts("a x c", "a b c"), "[a ]-[b ]+[x ][c]");
  EXPECT_EQ(parts("b c", "a b c"), "-[a ][b c]");
  EXPECT_EQ(parts("a b c d", "a b"), "[a b ]+[c d]");
}

TEST(WordDiff, OneTextMayBeEmpty) {
  EXPECT_EQ(parts("", "a b"), "-[a b]");
  EXPECT_EQ(parts("a b", ""), "+[a b]");
}

TEST(WordDiff, TextsTooLongForATableDifferBetweenTheirEnds) {
  EXPECT_EQ(parts("a 1 2 z", "a 3 1 z", 3), "[a ]-[3 1 ]+[1 2 ][z]");
  EXPECT_EQ(parts("a 1 2 z", "a 3 1 z", 4), "[a ]-[3 ][1 ]+[2 ][z]");
}

TEST(WordDiff, BothTextsCanBeReadFromTheParts) {
  std::mt19937 random(1);
  for (int i = 0; i < 300; ++i) {
    std::string texts[2];
    for (std::string& text : texts) {
      for (std::size_t n = random() % 12; n > 0; --n) {
        text += std::string(1, static_cast<char>('a' + random() % 4)) + (n > 1 ? " " : "");
      }
    }
    std::string text, reference_words;
    for (const DiffPart& part : word_diff(texts[0], texts[1])) {
      if (part.kind != DiffPart::Kind::missing) text += part.text;
      if (part.kind == DiffPart::Kind::added) continue;
      for (const char c : part.text) reference_words += c == ' ' ? "" : std::string(1, c);
    }
    std::string words = texts[1];
    std::erase(words, ' ');
    EXPECT_EQ(text, texts[0]);
    EXPECT_EQ(reference_words, words);
  }
}

TEST(WordDiff, MarksEndWithWordsAndKeepWordsApart) {
  EXPECT_EQ(diff_html("a b", "a b c").code, "a b <del>c</del>");
  EXPECT_EQ(diff_html("x <y>\nb", "a b").code, "<del>a</del> <ins>x &lt;y&gt;</ins>\nb");
}

}  // namespace
}  // namespace gist
