// The characters by which byte-level vocabularies spell bytes: each byte a printable character,
// which is itself where it is one of Latin-1 (OpenAI's GPT-2, encoder.py).
#pragma once

#include <array>
#include <optional>
#include <string>

namespace gist {

/// By byte: UTF-8 of the character that stands for it.
const std::array<std::string, 256>& byte_alphabet();

/// The byte that the character stands for.
std::optional<unsigned char> byte_of_character(char32_t c);

}  // namespace gist
