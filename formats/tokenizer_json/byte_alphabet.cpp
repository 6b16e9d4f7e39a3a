#include "formats/tokenizer_json/byte_alphabet.h"

#include <cstdint>

#include "core/utf8.h"

namespace gist {
namespace {

constexpr char32_t first_of_others = 0x100;  // where the bytes begin that aren't printable

constexpr bool stands_for_itself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<std::string, 256> characters;
  std::array<std::uint8_t, 256> others{};  // bytes, by their character - first_of_others
  char32_t end = first_of_others;

  Alphabet() {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const char32_t c = stands_for_itself(byte) ? byte : end;
      append_utf8(c, characters[byte]);
      if (c >= first_of_others) others[end++ - first_of_others] = static_cast<std::uint8_t>(byte);
    }
  }
};

const Alphabet& alphabet() {
  static const Alphabet made;
  return made;
}

}  // namespace

const std::array<std::string, 256>& byte_alphabet() {
  return alphabet().characters;
}

std::optional<unsigned char> byte_of_character(char32_t c) {
  if (c < first_of_others) {
    if (!stands_for_itself(static_cast<unsigned>(c))) return std::nullopt;
    return static_cast<unsigned char>(c);
  }
  if (c >= alphabet().end) return std::nullopt;
  return alphabet().others[c - first_of_others];
}

}  // namespace gist
