// Who holds a file.
#pragma once

#include <sys/types.h>

#include <optional>

namespace gist {

/// The process that holds the flock on the file or directory behind the descriptor; nothing where
/// there is none any more or the system does not tell.
std::optional<pid_t> lock_holder(int descriptor);

}  // namespace gist
