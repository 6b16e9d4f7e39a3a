#include "kernels/memory_map.h"

namespace gist {
namespace {

/// The hexadecimal number at the text's begin, which is taken off with the character behind it.
std::uintptr_t take_number(std::string_view& text) {
  std::uintptr_t value = 0;
  while (!text.empty()) {
    const char c = text.front();
    text.remove_prefix(1);
    const bool digit = c >= '0' && c <= '9', letter = c >= 'a' && c <= 'f';
    if (!digit && !letter) break;
    value = value << 4U | static_cast<std::uintptr_t>(digit ? c - '0' : c - 'a' + 10);
  }
  return value;
}

}  // namespace

std::string_view file_mapped_at(std::string_view line, std::uintptr_t address) {
  const std::uintptr_t begin = take_number(line), end = take_number(line);
  if (address < begin || address >= end) return "";
  const std::size_t path = line.find('/');
  return path == std::string_view::npos ? "" : line.substr(path);
}

}  // namespace gist
