// What Unicode says of characters, as Rust's standard library and regular expressions do, by which
// tokenizer.json is defined.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace gist {

/// White_Space.
bool is_unicode_white_space(char32_t c);
/// General categories Nd, Nl, No.
bool is_numeric(char32_t c);
/// ASCII's symbols, and general categories P*.
bool is_punctuation(char32_t c);

/// Bytes of white space at the start of a text, and at its end.
std::size_t white_space_at_start(std::string_view text);
std::size_t white_space_at_end(std::string_view text);

/// Bytes of the last character of a text that isn't empty.
std::size_t last_character_bytes(std::string_view text);

/// The bytes as text; each longest beginning of a character that doesn't go on, and each byte that
/// begins none, becomes U+FFFD (Unicode 15, section 3.9, "maximal subparts").
std::string lossy_utf8(std::string_view bytes);

}  // namespace gist
