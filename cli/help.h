// The texts of --help.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/commands.h"
#include "cli/options.h"

namespace gist {

/// Both are wrapped to lines of `width` characters, but for examples, which stand as they are.
std::string help_text(const CommandSpec& command, std::size_t width);
std::string overview(const std::vector<Command>& commands, std::size_t width);

}  // namespace gist
