// UTF-8, decoded and written in one place: metrics on texts, files' formats and what people see all
// stand on these functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gist {

/// The character that a text begins with.
struct Utf8Character {
  char32_t code_point = U'\uFFFD';  // U+FFFD where it isn't well-formed
  std::size_t bytes = 1;     // if not well-formed: the longest part of a well-formed one, or 1
  bool well_formed = false;  // neither overlong, cut off, a surrogate nor above U+10FFFF
};

/// Whether the byte is no later byte of a character of several.
inline bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
}

/// Decodes the first character of a text that isn't empty (The Unicode Standard, table 3-7).
inline Utf8Character first_character(std::string_view text) {
  const auto byte = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return {lead, 1, true};
  if (lead < 0xC2 || lead > 0xF4) return {};
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  // The second byte's limits rule out overlong forms, surrogates and what no code point has.
  unsigned char low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  char32_t c = lead & (0x7FU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if (i == text.size() || byte(i) < low || byte(i) > high) return {U'\uFFFD', i, false};
    c = c << 6U | (byte(i) & 0x3FU);
    low = 0x80;
    high = 0xBF;
  }
  return {c, length, true};
}

/// Adds a code point to a text.
inline void append_utf8(char32_t c, std::string& text) {
  const auto add = [&text](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  const auto add_later = [&](unsigned shift) { add(0x80U | (c >> shift & 0x3FU)); };
  if (c < 0x80) return add(c);
  if (c < 0x800) {
    add(0xC0U | c >> 6U);
  } else {
    if (c < 0x10000) {
      add(0xE0U | c >> 12U);
    } else {
      add(0xF0U | c >> 18U);
      add_later(12);
    }
    add_later(6);
  }
  add_later(0);
}

}  // namespace gist
