// In this cache gist remembers, for one user, what takes time to find out again. What stands there
// may go at any time.
#pragma once

#include <filesystem>
#include <optional>

namespace gist {

/// $XDG_CACHE_HOME/gist, or ~/.cache/gist; nothing where the environment names neither by an
/// absolute path.
std::optional<std::filesystem::path> user_cache_directory();

}  // namespace gist
