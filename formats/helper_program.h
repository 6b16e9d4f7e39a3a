// Programs of gist's own that run beside it, in a process of their own.
#pragma once

#include <filesystem>
#include <string>

namespace gist {

/// PREFIX/libexec/gist/NAME, where this program is PREFIX/bin/gist; PREFIX may be a build tree.
/// Throws Error(unavailable), "PATH: missing: PURPOSE", where it isn't there.
std::filesystem::path helper_program(const std::string& name, const std::string& purpose);

}  // namespace gist
