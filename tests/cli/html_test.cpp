#include "cli/report/html.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gist {
namespace {

using namespace std::string_literals;

std::string code(std::string_view text) {
  return escaped(text).code;
}

TEST(Html, MarkupInTextIsText) {
  EXPECT_EQ(code("<img src=x onerror='f(\"a\")'> & </script>"),
            "&lt;img src=x onerror=&#39;f(&quot;a&quot;)&#39;&gt; &amp; &lt;/script&gt;");
}

TEST(Html, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(code("a\xff\xc0\xaf b\xe2\x82"), "a\uFFFD\uFFFD\uFFFD b\uFFFD\uFFFD");
  EXPECT_EQ(code("\xed\xa0\x80"), "\uFFFD\uFFFD\uFFFD");  // half of a surrogate pair
}

TEST(Html, ControlCharactersAreDrawn) {
  EXPECT_EQ(code("\0\a\x1b\x7f\r"s), "␀␇␛␡␍");
  EXPECT_EQ(code("a\n\tb"), "a\n\tb");
}

TEST(Html, CharactersThatHideOrTurnTextAreSpelledOut) {
  EXPECT_EQ(code("a\u202Eb\u2066c\u200Bd\uFEFF"), "a⟨U+202E⟩b⟨U+2066⟩c⟨U+200B⟩d⟨U+FEFF⟩");
  EXPECT_EQ(code("\u0085"), "⟨U+0085⟩");
}

TEST(Html, LettersOfAllScriptsStay) {
  const std::string text = "é العربية שלום 漢字 👩‍👩‍👧";
  EXPECT_EQ(code(text), text);
}

TEST(Html, FormattingEscapesTextAndKeepsMarkup) {
  EXPECT_EQ(html("<p>{}{}{}</p>", "<", Html{"<br>"}, 0.5).code, "<p>&lt;<br>0.5</p>");
}

}  // namespace
}  // namespace gist
