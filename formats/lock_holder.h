// Who holds a file.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

namespace gist {

/// The process that holds SQLite's lock on a database; nothing where there is none any more or the
/// system does not tell.
std::optional<pid_t> lock_holder(const std::filesystem::path& database);

/// The process that holds the flock on the file or directory behind the descriptor; nothing where
/// there is none any more or the system does not tell.
std::optional<pid_t> flock_holder(int descriptor);

}  // namespace gist
