#include "formats/files/text.h"

#include <algorithm>
#include <cstddef>
#include <nlohmann/json.hpp>

#include "core/utf8.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t quoted_bytes = 100;
constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Unicode Standard Annex 9, section 2: marks, embeddings, overrides and isolates.
bool changes_direction(char32_t c) {
  return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F);
}

std::string escaped(char32_t c) {
  constexpr std::string_view letters = "btn.fr";  // of U+0008 to U+000D; U+000B has none
  if (c >= 0x08 && c <= 0x0D && c != 0x0B) return {'\\', letters[c - 0x08]};
  return fmt::format("\\u{:04x}", static_cast<std::uint32_t>(c));
}

std::string with_separators(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t end = digits.size(); end > 3; end -= 3) digits.insert(end - 3, ",");
  return digits;
}

}  // namespace

bool is_one_character(std::string_view text) {
  const Utf8Character first = first_character(text);
  return first.well_formed && first.bytes == text.size();
}

std::string_view next_character(std::string_view& text, char32_t& c) {
  const Utf8Character first = first_character(text);
  const std::string_view character = text.substr(0, first.well_formed ? first.bytes : 1);
  text.remove_prefix(character.size());
  c = first.code_point;
  return character;
}

bool valid_utf8(std::string_view text) {
  while (!text.empty()) {
    const Utf8Character first = first_character(text);
    if (!first.well_formed) return false;
    text.remove_prefix(first.bytes);
  }
  return true;
}

std::size_t characters_in(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), begins_character));
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

void refuse_byte_order_mark(std::string_view text, const std::string& where, std::uint64_t line) {
  if (!text.starts_with(byte_order_mark)) return;
  fail(ErrorKind::data,
       "{}:{}: starts with a byte order mark; write the file as UTF-8 without one: "
       "sed '1s/^\\xEF\\xBB\\xBF//' FILE",
       where, line);
}

std::string printable(std::string_view text, std::string_view allowed) {
  std::string shown;
  shown.reserve(text.size());
  while (!text.empty()) {
    char32_t c = 0;
    const std::string_view character = next_character(text, c);
    const bool steers = is_control(c) || changes_direction(c);
    if (c == U'\uFFFD' && character.size() == 1) {
      shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(character[0]));
    } else if (steers && allowed.find(character) == std::string_view::npos) {
      shown += escaped(c);
    } else {
      shown += character;
    }
  }
  return shown;
}

std::string in_quotes(std::string_view text) {
  std::string shown(text);
  if (text.size() > quoted_bytes) {
    std::size_t cut = quoted_bytes;
    while (cut > 0 && !begins_character(text[cut])) --cut;
    shown = std::string(text.substr(0, cut)) + "...";
  }
  return nlohmann::json(shown).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", with_separators(count), noun, count == 1 ? "" : "s");
}

std::string shortened(std::string_view text, std::size_t most) {
  std::string_view rest = text;
  for (std::size_t i = 0; i < most && !rest.empty(); ++i) {
    char32_t c = 0;
    next_character(rest, c);
  }
  const std::string kept(text.substr(0, text.size() - rest.size()));
  return rest.empty() ? kept : kept + "…";
}

std::string first_few(const std::vector<std::string>& names) {
  constexpr std::size_t shown = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

}  // namespace gist
