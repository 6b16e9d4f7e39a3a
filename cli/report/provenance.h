// Provenance is where a report comes from: what somebody needs to make it again, or to doubt it.
#pragma once

#include <string>
#include <vector>

#include "cli/options.h"

namespace gist {

struct Fact {
  std::string name, value;
};

struct Provenance {
  std::string version;      // "gist 0.1.0"
  std::string command;      // as a shell reads it, an option a line, an option a line
  std::string created;      // "2023-04-17 12:30 UTC"
  std::string machine;      // processor, the threads that the process may use of it, memory, system
  std::vector<Fact> files;  // what was read, each with its fingerprint: models, stores, data
  std::vector<Fact> settings;  // options with their values, and the like
};

/// The running program, with its version, the time and the machine. The command is that of these
/// options, which are the settings, too.
Provenance provenance_of(const std::string& subcommand, const Options& options);

}  // namespace gist
