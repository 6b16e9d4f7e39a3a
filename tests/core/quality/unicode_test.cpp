#include "core/quality/unicode.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "core/utf8.h"

namespace gist {
namespace {

using std::literals::operator""sv;

TEST(DecodeUtf8, GivesTheCodePoints) {
  EXPECT_EQ(decode_utf8("a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"), U"a\u00E9\u20AC\U0001F600");
  EXPECT_EQ(decode_utf8(""), U"");
  EXPECT_EQ(decode_utf8(std::string_view("a\0b", 3)), std::u32string_view(U"a\0b", 3));
}

TEST(DecodeUtf8, ReplacesWhatIsNoUtf8AsPythonDoes) {
  EXPECT_EQ(decode_utf8("\xFF"
                        "a"),
            U"\uFFFDa");
  EXPECT_EQ(decode_utf8("\x80\x80"), U"\uFFFD\uFFFD");
  EXPECT_EQ(decode_utf8("\xC0\xAF"), U"\uFFFD\uFFFD");                      // overlong
  EXPECT_EQ(decode_utf8("\xED\xA0\x80"), U"\uFFFD\uFFFD\uFFFD");            // a surrogate
  EXPECT_EQ(decode_utf8("\xF4\x90\x80\x80"), U"\uFFFD\uFFFD\uFFFD\uFFFD");  // beyond U+10FFFF
  EXPECT_EQ(decode_utf8("\xE2\x82"), U"\uFFFD");                            // cut off
  EXPECT_EQ(decode_utf8("\xE2\x82"
                        "a"),
            U"\uFFFDa");
  EXPECT_EQ(decode_utf8("\xF0\x9F\x98\xC3\xA9"), U"\uFFFD\u00E9");
}

TEST(AppendUtf8, UndoesDecoding) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";
  std::string again;
  for (const char32_t c : decode_utf8(text)) append_utf8(c, again);
  EXPECT_EQ(again, text);
}

TEST(Unicode, ClassesCharacters) {
  for (const char32_t c : U"a5\u00E9\u4EAC\u0661\u00B2\U0001D400"sv) {
    EXPECT_TRUE(is_word(c)) << static_cast<std::uint32_t>(c);
  }
  for (const char32_t c : U" _-\u00A0\u201C\u2014\u0301\U0001F600\U0010FFFF"sv) {
    EXPECT_FALSE(is_word(c)) << static_cast<std::uint32_t>(c);
  }
  EXPECT_TRUE(is_digit(U'5') && is_digit(U'\u0661') && is_digit(U'\uFF15'));
  EXPECT_FALSE(is_digit(U'a') || is_digit(U'\u00B2') || is_digit(U'\u00BD'));
  EXPECT_TRUE(is_upper(U'A') && is_upper(U'\u00C9') && is_upper(U'\u0130') && is_upper(U'\u041C'));
  EXPECT_FALSE(is_upper(U'a') || is_upper(U'\u00DF') || is_upper(U'5') || is_upper(U'\u4EAC'));
  EXPECT_TRUE(is_white_space(U'\n') && is_white_space(U'\u00A0') && is_white_space(U'\u3000'));
  EXPECT_FALSE(is_white_space(U'\u200B') || is_white_space(U'a') || is_white_space(U'\0'));
}

TEST(LowerCase, IsPythons) {
  EXPECT_EQ(lower_case(U"ABC xyz 1"), U"abc xyz 1");
  EXPECT_EQ(lower_case(U"\u00C9\u00C5\u0178\u041C"), U"\u00E9\u00E5\u00FF\u043C");
  EXPECT_EQ(lower_case(U"\u0130\u212A\u1E9E"), U"i\u0307k\u00DF");
  EXPECT_EQ(lower_case(U"\u0100\u0101\u0102"), U"\u0101\u0101\u0103");  // every other one is upper
}

TEST(LowerCase, EndsWordsWithFinalSigma) {
  EXPECT_EQ(lower_case(U"\u0391\u03A3\u03A3"), U"\u03B1\u03C3\u03C2");
  EXPECT_EQ(lower_case(U"\u0391\u03A3. \u03A3"), U"\u03B1\u03C2. \u03C3");
  EXPECT_EQ(lower_case(U"\u0391\u03A3'\u0391"), U"\u03B1\u03C3'\u03B1");
  EXPECT_EQ(lower_case(U"1\u03A3"), U"1\u03C3");
}

}  // namespace
}  // namespace gist
