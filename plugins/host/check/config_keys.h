// Checks of what a family does with the numbers of its configuration.
#pragma once

#include <string>

#include "plugins/host/check/subject.h"

namespace gist {

/// Keys of the check's configuration that nobody reads, and numbers that are read though nothing
/// depends on them. Returns what is wrong, "" where nothing is.
std::string broken_config_keys(const CheckSubject& subject);

/// Gives each integer of the configuration, and each key that the family asks for beside them, the
/// values 0, -1, and huge ones, a few near its own, and leaves it out. Each must be refused or make a
/// model whose callbacks run. Returns what is wrong, "" where nothing is.
std::string broken_integer_keys(const CheckSubject& subject, const Trying& trying);

/// Whether windows that the family declares are crossed by the checks' sequences, and narrow what is
/// seen. Returns what is wrong, "" where nothing is.
std::string broken_windows(const CheckSubject& subject);

}  // namespace gist
