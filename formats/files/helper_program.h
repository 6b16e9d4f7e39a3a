// Programs of gist's own that run beside it, in a process of their own.
#pragma once

#include <filesystem>
#include <string>

namespace gist {

/// PREFIX/libexec/gist/NAME of where gist is installed (kernels/installation.h). Throws
/// Error(unavailable), "PATH: missing: PURPOSE", where it isn't there.
std::filesystem::path helper_program(const std::string& name, const std::string& purpose);

}  // namespace gist
