// Small rules about text that all formats share.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// For tables by texts that are looked up by views of texts.
struct TextHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

/// Takes the first character off a text that isn't empty; `c` is its code point, or U+FFFD for a
/// byte that begins none, which is taken alone.
std::string_view next_character(std::string_view& text, char32_t& c);

/// Whether a text that isn't empty is one well-formed character.
bool is_one_character(std::string_view text);

/// Whether the bytes are well-formed UTF-8 (no overlong forms, no surrogates).
bool valid_utf8(std::string_view text);

/// The number of characters, not bytes, of a text in UTF-8.
std::size_t characters_in(std::string_view text);

/// Returns what stands between the separators: one part more than there are separators.
std::vector<std::string> split(std::string_view text, char separator);

/// Throws Error(data), naming the line, where the text starts with a byte order mark.
void refuse_byte_order_mark(std::string_view text, const std::string& where, std::uint64_t line);

/// The text as it can be shown on a terminal, which it can't steer or mislead: control characters
/// (C0, DEL and C1) and those that change the direction of writing become escapes as JSON spells
/// them (\n, \u001b), bytes that are no UTF-8 become \xNN. Those of `allowed` stay.
std::string printable(std::string_view text, std::string_view allowed = "");

/// Returns a text as messages quote it: as a JSON string on one line, cut after about a hundred
/// bytes.
std::string in_quotes(std::string_view text);

/// "1 record", "2 records", "12,000 records".
std::string counted(std::uint64_t count, std::string_view noun);

/// Returns at most `most` characters of a text, and "…" where that isn't all. Bytes that are not
/// UTF-8 are characters of their own.
std::string shortened(std::string_view text, std::size_t most);

/// The first four, and how many more there are: "a, b, c, d and 3 more".
std::string first_few(const std::vector<std::string>& names);

}  // namespace gist
