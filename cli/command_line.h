// A subcommand's command line, taken apart.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/options.h"

namespace gist {

struct CommandLine {
  std::map<std::string, std::vector<std::string>, std::less<>> values;  // by the options' names
  std::vector<std::string> positional;
};

/// Whether the arguments ask for help in place of all else.
bool asks_for_help(const std::vector<std::string>& arguments);

/// Throws Error(usage), which names the word that it is about and, where one is near, the option
/// that may have been meant.
CommandLine parse_command_line(const CommandSpec& command,
                               const std::vector<std::string>& arguments);

}  // namespace gist
