// A directory that one process at a time works in.
#pragma once

#include <filesystem>

namespace gist {

/// Holds the directory until it is destroyed, or the process ends in whatever way. Throws
/// Error(busy) where another process holds it, naming that one where the system tells;
/// Error(no_input) where the directory can't be opened; Error(io) where its file system has no
/// locks.
class DirectoryLock {
 public:
  explicit DirectoryLock(const std::filesystem::path& directory);
  DirectoryLock(const DirectoryLock&) = delete;
  DirectoryLock& operator=(const DirectoryLock&) = delete;
  ~DirectoryLock();

 private:
  int descriptor_ = -1;
};

}  // namespace gist
