// The subcommands: each in a file of its own name. A command returns the exit code or throws Error.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace gist {

struct Command {
  CommandSpec spec;
  int (*run)(const Options& options);
};

Command train_command();
Command compress_command();
Command generate_command();
Command evaluate_command();
Command inspect_command();
Command merge_command();
Command plugins_command();

}  // namespace gist
