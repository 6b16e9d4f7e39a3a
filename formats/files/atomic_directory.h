// A directory that appears whole or not at all.
#pragma once

#include <filesystem>

#include "formats/files/output_file.h"

namespace gist {

/// Removes what killed processes left of the AtomicDirectories in `parent`; it is known by a file
/// that only gist puts there, or it is empty. A directory that was moved aside is put back first
/// where nothing has its name, so that the only copy is never lost. Throws Error(io) where that
/// can't be.
void tidy_left_directories(const std::filesystem::path& parent);

/// Files go into a directory inside PATH.tmp- and 16 random digits, which `commit` syncs and
/// renames to PATH; without commit nothing stays. A directory that is replaced changes places with
/// the new one, or, where the file system can't do that, is moved aside into PATH.tmp- first. The
/// next AtomicDirectory beside it does what tidy_left_directories does.
class AtomicDirectory {
 public:
  /// Makes the directory to write into. Throws Error(cannot_create) where that can't be, Error(io)
  /// where the disk is full or an old directory can't be put back.
  explicit AtomicDirectory(const std::filesystem::path& path, Existing existing = Existing::refuse);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();

  /// Returns the directory in which the caller writes its files.
  const std::filesystem::path& path() const { return fresh_; }
  /// Throws Error(cannot_create) where PATH exists and is not to be replaced, Error(io) where
  /// syncing or renaming fails; PATH is then what it was.
  void commit();

 private:
  void open_new_workspace();
  void make_workspace();
  void replace();

  std::filesystem::path path_;
  Existing existing_;
  std::filesystem::path workspace_;  // PATH.tmp-
  std::filesystem::path fresh_;      // in it: what becomes PATH
  int descriptor_ = -1;              // of the workspace: holds its lock
};

}  // namespace gist
