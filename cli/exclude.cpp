#include "cli/exclude.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>

#include "kernels/error.h"

namespace gist {

std::vector<OptionSpec> exclude_options() {
  return {{"exclude", OptionKind::list, "FILE", "",
           "leave out records with the instruction and input of one in this file; may be given "
           "more than once"}};
}

void check_standard_input(const Options& options) {
  std::vector<std::string> readers;  // of standard input
  for (const std::string name : {"data", "eval-data", "exclude"}) {
    if (!options.knows(name)) continue;
    const std::vector<std::string> paths = options.list(name);
    const auto count = std::count(paths.begin(), paths.end(), "-");
    readers.insert(readers.end(), static_cast<std::size_t>(count), "--" + name);
  }
  if (readers.size() > 1) {
    fail(ErrorKind::usage, "{} can't all be standard input: give files", fmt::join(readers, ", "));
  }
}

}  // namespace gist
