#include "formats/tokenizer_json/known_regex.h"

#include <array>

namespace gist {
namespace {

enum class Kind : std::uint8_t { symbol, letter, digit, space, end, unknown };

constexpr std::array<Kind, 256> make_kinds() {
  std::array<Kind, 256> kinds{};
  for (unsigned c = 0; c < 256; ++c) {
    const unsigned lower = c | 0x20U;
    kinds[c] = c >= 0x80                              ? Kind::unknown
               : lower >= 'a' && lower <= 'z'         ? Kind::letter
               : c >= '0' && c <= '9'                 ? Kind::digit
               : c == ' ' || (c >= '\t' && c <= '\r') ? Kind::space
                                                      : Kind::symbol;
  }
  return kinds;
}
constexpr std::array<Kind, 256> kinds = make_kinds();

/// A text and how far its parts go.
struct AsciiText {
  std::string_view text;

  Kind kind(std::size_t at) const {
    return at < text.size() ? kinds[static_cast<unsigned char>(text[at])] : Kind::end;
  }
  char at(std::size_t place) const { return place < text.size() ? text[place] : '\0'; }
  /// The end of characters of a kind in a row; 0 where one beyond ASCII follows, which may be more.
  std::size_t run(Kind wanted, std::size_t at) const {
    while (kind(at) == wanted) ++at;
    return kind(at) == Kind::unknown ? 0 : at;
  }
  bool is_line_end(std::size_t place) const { return at(place) == '\r' || at(place) == '\n'; }
};

/// The end of 's, 't, 're, 've, 'm, 'll or 'd; 0 where there is none. `letter`(c) makes a letter
/// comparable.
template <typename Letter>
std::size_t contraction_end(const AsciiText& text, std::size_t at, Letter&& letter) {
  if (text.at(at) != '\'') return 0;
  const char first = letter(text.at(at + 1)), second = letter(text.at(at + 2));
  if (first == 's' || first == 't' || first == 'm' || first == 'd') return at + 2;
  const bool two =
      ((first == 'r' || first == 'v') && second == 'e') || (first == 'l' && second == 'l');
  return two ? at + 3 : 0;
}

/// \s+(?!\S)|\s+
std::size_t space_end(const AsciiText& text, std::size_t at) {
  const std::size_t end = text.run(Kind::space, at);
  const bool leaves_one = end > at + 1 && end < text.text.size();
  return leaves_one ? end - 1 : end;
}

std::size_t gpt2_end(const AsciiText& text, std::size_t at) {
  if (const std::size_t end = contraction_end(text, at, [](char c) { return c; })) return end;
  const std::size_t begin = at + (text.at(at) == ' ' ? 1 : 0);
  const Kind kind = text.kind(begin);
  if (kind == Kind::unknown) return 0;
  if (kind == Kind::space || kind == Kind::end) return space_end(text, at);
  return text.run(kind, begin);
}

/// `digits`: how many stand together.
std::size_t llama3_end(const AsciiText& text, std::size_t at, std::size_t digits) {
  const Kind kind = text.kind(at);
  if (kind == Kind::letter) return text.run(Kind::letter, at);
  if (kind == Kind::digit) {
    std::size_t end = at + 1;
    while (end < at + digits && text.kind(end) == Kind::digit) ++end;
    return end < at + digits && text.kind(end) == Kind::unknown ? 0 : end;
  }
  // What folds to these letters may lie beyond ASCII.
  if (text.at(at) == '\'') {
    if (text.kind(at + 1) == Kind::unknown || text.kind(at + 2) == Kind::unknown) return 0;
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    if (const std::size_t end = contraction_end(text, at, lower)) return end;
  }
  const Kind next = text.kind(at + 1);
  if (!text.is_line_end(at)) {
    if (next == Kind::unknown) return 0;
    if (next == Kind::letter) return text.run(Kind::letter, at + 1);
  }
  const std::size_t begin = at + (text.at(at) == ' ' ? 1 : 0);
  if (text.kind(begin) == Kind::symbol) {
    std::size_t end = text.run(Kind::symbol, begin);
    while (end > 0 && text.is_line_end(end)) ++end;
    return end;
  }
  const std::size_t spaces = text.run(Kind::space, at);
  for (std::size_t end = spaces; end > at; --end) {
    if (text.is_line_end(end - 1)) return end;
  }
  return space_end(text, at);
}

}  // namespace

KnownRegex known_regex(std::string_view regex) {
  if (regex == gpt2_regex) return KnownRegex::gpt2;
  if (regex == llama3_regex) return KnownRegex::llama3;
  if (regex == qwen2_regex) return KnownRegex::qwen2;
  return KnownRegex::none;
}

std::size_t ascii_match_end(KnownRegex regex, std::string_view text, std::size_t at) {
  const AsciiText ascii{text};
  if (ascii.kind(at) == Kind::unknown) return 0;
  switch (regex) {
    case KnownRegex::gpt2:
      return gpt2_end(ascii, at);
    case KnownRegex::llama3:
      return llama3_end(ascii, at, 3);
    case KnownRegex::qwen2:
      return llama3_end(ascii, at, 1);
    case KnownRegex::none:
      break;
  }
  return 0;
}

}  // namespace gist
