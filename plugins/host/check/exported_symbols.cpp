#include "plugins/host/check/exported_symbols.h"

#include <elf.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <optional>
#include <string_view>

#include "formats/files/file_io.h"

namespace gist {
namespace {

/// A struct of the file, where it lies within it.
template <typename T>
std::optional<T> struct_at(std::string_view file, std::uint64_t offset) {
  if (offset > file.size() || file.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, file.data() + offset, sizeof(T));
  return value;
}

std::vector<Elf64_Shdr> sections_of(std::string_view file) {
  const auto header = struct_at<Elf64_Ehdr>(file, 0);
  if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
      header->e_ident[EI_CLASS] != ELFCLASS64) {
    return {};
  }
  std::vector<Elf64_Shdr> sections;
  for (std::uint64_t i = 0; i < header->e_shnum; ++i) {
    const auto section = struct_at<Elf64_Shdr>(file, header->e_shoff + i * sizeof(Elf64_Shdr));
    if (!section) return {};
    sections.push_back(*section);
  }
  return sections;
}

bool is_exported(const Elf64_Sym& symbol) {
  const unsigned bind = ELF64_ST_BIND(symbol.st_info);
  const unsigned visibility = ELF64_ST_VISIBILITY(symbol.st_other);
  return symbol.st_shndx != SHN_UNDEF && symbol.st_shndx != SHN_ABS && bind != STB_LOCAL &&
         visibility != STV_HIDDEN && visibility != STV_INTERNAL;
}

bool is_of_linkers(std::string_view name) {
  constexpr std::array names = {std::string_view("_init"), std::string_view("_fini"),
                                std::string_view("_edata"), std::string_view("_end"),
                                std::string_view("__bss_start")};
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::vector<std::string> exported_symbols(const std::filesystem::path& library) {
  const std::string content = read_file(library);
  const std::string_view file = content;
  const std::vector<Elf64_Shdr> sections = sections_of(file);
  std::vector<std::string> names;
  for (const Elf64_Shdr& section : sections) {
    if (section.sh_type != SHT_DYNSYM || section.sh_link >= sections.size()) continue;
    const std::uint64_t texts = sections[section.sh_link].sh_offset;
    for (std::uint64_t at = 0; at + sizeof(Elf64_Sym) <= section.sh_size; at += sizeof(Elf64_Sym)) {
      const auto symbol = struct_at<Elf64_Sym>(file, section.sh_offset + at);
      if (!symbol || texts + symbol->st_name >= file.size()) break;
      const std::string_view text = file.substr(texts + symbol->st_name);
      const std::string_view name = text.substr(0, text.find('\0'));
      if (is_exported(*symbol) && !is_of_linkers(name)) names.emplace_back(name);
    }
  }
  return names;
}

}  // namespace gist
