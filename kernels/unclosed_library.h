// Shared libraries that are opened at run time and stay open until the process ends: they may have
// threads and exit handlers of their own, and what they handed out points into them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace gist {

class UnclosedLibrary {
 public:
  enum class Search : std::uint8_t { path, system };  // system: where the loader looks for a name

  /// Why the library can't be opened; empty: it is open. Its symbols are visible to it alone.
  std::string open(const std::filesystem::path& library, Search search = Search::path);
  /// The address of what an open library exports under this name, or null.
  const void* symbol(const char* name) const;

 private:
  void* handle_ = nullptr;
};

}  // namespace gist
