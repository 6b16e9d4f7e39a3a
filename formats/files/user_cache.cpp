#include "formats/files/user_cache.h"

#include <cstdlib>

namespace gist {

std::optional<std::filesystem::path> user_cache_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && std::filesystem::path(cache).is_absolute()) {
    return std::filesystem::path(cache) / "gist";
  }
  const char* home = std::getenv("HOME");
  if (home != nullptr && std::filesystem::path(home).is_absolute()) {
    return std::filesystem::path(home) / ".cache" / "gist";
  }
  return std::nullopt;
}

}  // namespace gist
