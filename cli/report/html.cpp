#include "cli/report/html.h"

#include <algorithm>
#include <array>

#include "core/utf8.h"
#include "formats/files/text.h"

namespace gist {
namespace {

constexpr char32_t replacement = 0xFFFD;

struct Range {
  char32_t first, last;
};
/// Characters without a shape of their own, apart from white space: U+200C and U+200D, which join
/// letters and emoji, are left.
constexpr auto unseen = std::to_array<Range>({{0x80, 0x9F},
                                              {0xAD, 0xAD},
                                              {0x61C, 0x61C},
                                              {0x180E, 0x180E},
                                              {0x200B, 0x200B},
                                              {0x200E, 0x200F},
                                              {0x2028, 0x202E},
                                              {0x2060, 0x206F},
                                              {0xFEFF, 0xFEFF},
                                              {0xFFF9, 0xFFFB},
                                              {0xE0000, 0xE007F}});

bool is_unseen(char32_t c) {
  return std::any_of(unseen.begin(), unseen.end(),
                     [c](const Range& range) { return range.first <= c && c <= range.last; });
}

void append(std::string& code, std::string_view character, char32_t c) {
  switch (c) {
    case U'&':
      code += "&amp;";
      return;
    case U'<':
      code += "&lt;";
      return;
    case U'>':
      code += "&gt;";
      return;
    case U'"':
      code += "&quot;";
      return;
    case U'\'':
      code += "&#39;";
      return;
    case U'\n':
    case U'\t':
      code += static_cast<char>(c);
      return;
    case 0x7F:
      code += "␡";
      return;
    case replacement:
      code += "\uFFFD";
      return;
    default:
      break;
  }
  if (c < 0x20) {
    append_utf8(0x2400 + c, code);  // the picture of the control character
  } else if (is_unseen(c)) {
    code += fmt::format("⟨U+{:04X}⟩", static_cast<std::uint32_t>(c));
  } else {
    code += character;
  }
}

}  // namespace

Html escaped(std::string_view text) {
  Html html;
  html.code.reserve(text.size());
  while (!text.empty()) {
    char32_t c = 0;
    const std::string_view character = next_character(text, c);
    append(html.code, character, c);
  }
  return html;
}

}  // namespace gist
