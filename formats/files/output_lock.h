// One run an output.
#pragma once

#include <filesystem>

namespace gist {

/// Holds an output until it is destroyed, or the process ends in whatever way.
class OutputLock {
 public:
  /// Locks a file, be it there or not, by a lock on the empty file PATH.gist-lock, which goes with
  /// the lock; a killed process leaves it, which hinders nobody. Throws Error(busy) where another
  /// process holds it, naming that one where the system tells; Error(cannot_create) where
  /// PATH.gist-lock can't be made, or is a file of something else; Error(io) where the file system
  /// has no locks.
  static OutputLock of_file(const std::filesystem::path& output);
  /// Locks a directory, by a lock on itself. Throws as of_file does, and Error(no_input) where
  /// there is no directory.
  static OutputLock of_directory(const std::filesystem::path& output);

  OutputLock(OutputLock&& other) noexcept;
  OutputLock& operator=(OutputLock&& other) noexcept;
  ~OutputLock();

 private:
  OutputLock(int descriptor, std::filesystem::path own_file);

  int descriptor_ = -1;
  std::filesystem::path own_file_;  // to be removed; "" for none
};

}  // namespace gist
