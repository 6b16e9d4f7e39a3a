#include "formats/tokenizer_json/unicode.h"

#include <utf8proc.h>

#include "core/quality/unicode.h"
#include "core/utf8.h"
#include "formats/files/text.h"

namespace gist {
namespace {

constexpr std::string_view replacement_text = "\xEF\xBF\xBD";

}  // namespace

bool is_unicode_white_space(char32_t c) {
  return is_white_space(c) && (c < 0x1C || c > 0x1F);  // which Python counts, too
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
    if (!is_unicode_white_space(c)) break;
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
    if (!is_unicode_white_space(c)) break;
    rest.remove_suffix(bytes);
  }
  return text.size() - rest.size();
}

std::size_t last_character_bytes(std::string_view text) {
  std::size_t bytes = 1;
  while (bytes < 4 && bytes < text.size() && !begins_character(text[text.size() - bytes])) {
    ++bytes;
  }
  return bytes;
}

std::string lossy_utf8(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  while (!bytes.empty()) {
    const Utf8Character first = first_character(bytes);
    text += first.well_formed ? bytes.substr(0, first.bytes) : replacement_text;
    bytes.remove_prefix(first.bytes);
  }
  return text;
}

}  // namespace gist
