#include "core/quality/unicode.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <span>

#include "core/quality/unicode_tables.h"
#include "core/utf8.h"

namespace gist {
namespace {

constexpr char32_t dotted_capital_i = 0x130;
constexpr char32_t combining_dot_above = 0x307;
constexpr char32_t capital_sigma = 0x3A3;
constexpr char32_t small_sigma = 0x3C3;
constexpr char32_t final_sigma = 0x3C2;

/// The last of the ranges that begins at c or before, or nullptr.
template <typename Range>
const Range* range_at(std::span<const Range> ranges, char32_t c) {
  const auto next =
      std::upper_bound(ranges.begin(), ranges.end(), c,
                       [](char32_t value, const Range& r) { return value < r.first; });
  return next == ranges.begin() ? nullptr : &*std::prev(next);
}

bool contains(std::span<const CodePoints> ranges, char32_t c) {
  const CodePoints* range = range_at(ranges, c);
  return range != nullptr && c <= range->last;
}

bool is_ascii_digit(char32_t c) {
  return c >= '0' && c <= '9';
}

char32_t simple_lower_case(char32_t c) {
  if (c < 0x80) return c >= 'A' && c <= 'Z' ? c + 32 : c;
  const LowerCase* range = range_at(lower_cases, c);
  if (range == nullptr || c > range->last || (c - range->first) % range->step != 0) return c;
  return static_cast<char32_t>(static_cast<std::int32_t>(c) + range->offset);
}

/// Says whether c may stand between a word's letters: apostrophes, stops, combining marks.
bool is_inner_mark(char32_t c) {
  return c == '\'' || c == '.' || c == ':' || c == '^' || c == '`' || c == 0xA8 || c == 0xAD ||
         c == 0xB7 || c == 0x2018 || c == 0x2019 || (c >= 0x300 && c <= 0x36F);
}

bool is_letter(char32_t c) {
  return is_word(c) && !is_digit(c);
}

bool ends_word(std::u32string_view text, std::size_t i) {
  std::size_t before = i, after = i + 1;
  while (before > 0 && is_inner_mark(text[before - 1])) --before;
  while (after < text.size() && is_inner_mark(text[after])) ++after;
  return before > 0 && is_letter(text[before - 1]) &&
         !(after < text.size() && is_letter(text[after]));
}

}  // namespace

std::u32string decode_utf8(std::string_view text) {
  std::u32string result;
  result.reserve(text.size());
  while (!text.empty()) {
    const Utf8Character character = first_character(text);
    result.push_back(character.code_point);
    text.remove_prefix(character.bytes);
  }
  return result;
}

bool is_white_space(char32_t c) {
  return (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= ' ') || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_word(char32_t c) {
  if (c >= 0x80) return contains(word_code_points, c);
  return is_ascii_digit(c) || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

bool is_digit(char32_t c) {
  return c < 0x80 ? is_ascii_digit(c) : contains(digit_code_points, c);
}

bool is_upper(char32_t c) {
  return c == dotted_capital_i || simple_lower_case(c) != c;
}

std::u32string lower_case(std::u32string_view text) {
  std::u32string result;
  result.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == dotted_capital_i) {
      result.push_back('i');
      result.push_back(combining_dot_above);
    } else if (text[i] == capital_sigma) {
      result.push_back(ends_word(text, i) ? final_sigma : small_sigma);
    } else {
      result.push_back(simple_lower_case(text[i]));
    }
  }
  return result;
}

}  // namespace gist
