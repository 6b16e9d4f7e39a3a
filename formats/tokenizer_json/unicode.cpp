#include "formats/tokenizer_json/unicode.h"

#include <utf8proc.h>

#include "formats/files/text.h"

namespace gist {
namespace {

constexpr std::string_view replacement_text = "\xEF\xBF\xBD";

/// How many bytes at the start could begin a character, the first of which is none by itself.
std::size_t maximal_subpart(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0xC2 || lead > 0xF4) return 1;
  const std::size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  std::size_t taken = 1;
  while (taken < length && taken < bytes.size()) {
    unsigned char least = 0x80, most = 0xBF;
    if (taken == 1 && lead == 0xE0) least = 0xA0;
    if (taken == 1 && lead == 0xED) most = 0x9F;
    if (taken == 1 && lead == 0xF0) least = 0x90;
    if (taken == 1 && lead == 0xF4) most = 0x8F;
    if (byte(taken) < least || byte(taken) > most) break;
    ++taken;
  }
  return taken;
}

}  // namespace

void append_character(std::string& text, char32_t c) {
  utf8proc_uint8_t bytes[4];
  const auto count = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
  text.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(count));
}

bool is_white_space(char32_t c) {
  return c == ' ' || (c >= 0x09 && c <= 0x0D) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
         c == 0x3000;
}

bool is_numeric(char32_t c) {
  if (c < 0x80) return c >= '0' && c <= '9';
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_NO;
}

bool is_punctuation(char32_t c) {
  if (c < 0x80) {
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
  }
  const utf8proc_category_t category = utf8proc_category(static_cast<utf8proc_int32_t>(c));
  return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

std::size_t white_space_at_start(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view after = rest;
    char32_t c = 0;
    next_character(after, c);
    if (!is_white_space(c)) break;
    rest = after;
  }
  return text.size() - rest.size();
}

std::size_t white_space_at_end(std::string_view text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    std::string_view last = rest.substr(rest.size() - last_character_bytes(rest));
    const std::size_t bytes = last.size();
    char32_t c = 0;
    next_character(last, c);
    if (!is_white_space(c)) break;
    rest.remove_suffix(bytes);
  }
  return text.size() - rest.size();
}

std::size_t last_character_bytes(std::string_view text) {
  std::size_t bytes = 1;
  while (bytes < 4 && bytes < text.size() &&
         (static_cast<unsigned char>(text[text.size() - bytes]) & 0xC0) == 0x80) {
    ++bytes;
  }
  return bytes;
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const std::size_t whole = character_bytes(bytes);
    if (whole > 0) {
      text += bytes.substr(0, whole);
      bytes.remove_prefix(whole);
    } else {
      text += replacement_text;
      bytes.remove_prefix(maximal_subpart(bytes));
    }
  }
  return text;
}

}  // namespace gist
