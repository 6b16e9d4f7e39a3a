// Locks on files, and who holds them.
#pragma once

#include <sys/types.h>

#include <optional>

namespace gist {

/// The process that holds the flock on the file or directory behind the descriptor; nothing where
/// there is none any more or the system does not tell.
std::optional<pid_t> lock_holder(int descriptor);

/// Takes the flock of the file or directory behind the descriptor, until it is closed; false, with
/// errno, where another has it or the file system has none.
bool try_lock(int descriptor);

}  // namespace gist
