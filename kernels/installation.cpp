#include "kernels/installation.h"

#include <cstdint>
#include <fstream>
#include <string>
#include <string_view>

#include "kernels/memory_map.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

/// The file that is mapped where `address` stands. (For a library dladdr would give the name by
/// which it was opened, which may be relative, and for a program the one by which it was called.)
fs::path file_at(std::uintptr_t address) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const std::string_view file = file_mapped_at(line, address);
    if (!file.empty()) return file;
  }
  return {};
}

}  // namespace

fs::path installation_prefix() {
  // An object of this very file tells the library it is linked into.
  static const char here = 0;
  const fs::path directory = file_at(reinterpret_cast<std::uintptr_t>(&here)).parent_path();
  const std::string_view libraries = GIST_LIBRARY_DIRECTORY;
  const std::string text = directory.string();
  if (text.ends_with("/" + std::string(libraries))) {
    return text.substr(0, text.size() - libraries.size() - 1);
  }
  return directory.parent_path();
}

}  // namespace gist
