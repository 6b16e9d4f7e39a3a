// Where gist is installed.
#pragma once

#include <filesystem>

namespace gist {

/// PREFIX, where the program or library that this code is part of is PREFIX/bin/NAME or
/// PREFIX/lib/NAME; it may be a build tree, and a prefix that was moved is found where it is now.
/// "" where the system doesn't say it.
std::filesystem::path installation_prefix();

}  // namespace gist
