#include "kernels/installation.h"

#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

namespace gist {
namespace {

namespace fs = std::filesystem;

/// The file that is mapped where `address` stands, by /proc/self/maps (proc_pid_maps(5)): for a
/// library dladdr would give the name by which it was opened, which may be relative, and for a
/// program the one by which it was called.
fs::path file_mapped_at(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uintptr_t begin = 0, end = 0;
    const char* const last = line.data() + line.size();
    const auto first = std::from_chars(line.data(), last, begin, 16);
    if (first.ec != std::errc() || first.ptr == last) continue;
    const auto second = std::from_chars(first.ptr + 1, last, end, 16);
    if (second.ec != std::errc() || address < begin || address >= end) continue;
    const std::size_t path = line.find('/');
    return path == std::string::npos ? fs::path() : fs::path(line.substr(path));
  }
  return {};
}

}  // namespace

fs::path installation_prefix() {
  // An object of this very file tells the library it is linked into.
  static const char here = 0;
  const fs::path directory = file_mapped_at(reinterpret_cast<std::uintptr_t>(&here)).parent_path();
  const std::string_view libraries = GIST_LIBRARY_DIRECTORY;
  const std::string text = directory.string();
  if (text.ends_with("/" + std::string(libraries))) {
    return text.substr(0, text.size() - libraries.size() - 1);
  }
  return directory.parent_path();
}

}  // namespace gist
