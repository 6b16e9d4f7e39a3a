// Lines of /proc/self/maps (proc_pid_maps(5)).
#pragma once

#include <cstdint>
#include <string_view>

namespace gist {

/// The file that a line says is mapped at the address; "" where it is another line, or no file. It
/// allocates nothing, so that signal handlers may ask.
std::string_view file_mapped_at(std::string_view line, std::uintptr_t address);

}  // namespace gist
