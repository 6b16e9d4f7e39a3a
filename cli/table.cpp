#include "cli/table.h"

#include <unistd.h>

#include <algorithm>

#include "cli/terminal.h"
#include "core/utf8.h"
#include "formats/files/text.h"

namespace gist {
namespace {

constexpr const char* gap = "  ";

/// `width` characters wide; control characters become spaces.
std::string fitted(const std::string& text, std::size_t width, bool right) {
  std::string shown;
  std::size_t characters = 0;
  for (const char c : text) {
    if (begins_character(c) && ++characters > width) break;
    shown += static_cast<unsigned char>(c) < 0x20U ? ' ' : c;
  }
  const std::string space(width - std::min(characters, width), ' ');
  return right ? space + shown : shown + space;
}

}  // namespace

std::string Table::text() const {
  return text(line_width(STDOUT_FILENO));
}

std::string Table::text(std::size_t widest_line) const {
  const std::size_t widest_cell = widest_line * 28 / 80;
  const std::size_t columns = rows.front().size();
  std::vector<std::size_t> width(columns);
  for (const std::vector<std::string>& row : rows) {
    for (std::size_t i = 0; i < columns; ++i) {
      width[i] = std::max(width[i], std::min(characters_in(row[i]), widest_cell));
    }
  }
  std::string text;
  for (std::size_t begin = 1; begin < columns;) {
    std::size_t end = begin;
    for (std::size_t line = width[0]; end < columns; ++end) {
      line += 2 + width[end];
      if (end > begin && line > widest_line) break;
    }
    if (begin > 1) text += "\n";
    for (const std::vector<std::string>& row : rows) {
      text += fitted(row[0], width[0], false);
      for (std::size_t i = begin; i < end; ++i) text += gap + fitted(row[i], width[i], true);
      text += "\n";
    }
    begin = end;
  }
  return text;
}

}  // namespace gist
