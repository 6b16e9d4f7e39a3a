// A directory that appears whole or not at all.
#pragma once

#include <filesystem>

namespace gist {

/// Files go into PATH.tmp-PID, which `commit` syncs and renames to PATH; without commit nothing
/// stays. A directory that is replaced stands as PATH.old-PID until the new one has its name. A
/// process that is killed may leave either: the next AtomicDirectory for the path removes what it
/// finds of those that are gone, but puts PATH.old-PID back first where there is no PATH, so that
/// the only copy is never lost. One at a time in a process for a path.
class AtomicDirectory {
 public:
  enum class Existing { refuse, replace };  // what commit does where PATH exists

  /// Makes the directory to write into. Throws Error(cannot_create) where that can't be, Error(io)
  /// where the disk is full or the old directory can't be put back.
  explicit AtomicDirectory(const std::filesystem::path& path, Existing existing = Existing::refuse);
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;
  ~AtomicDirectory();

  /// Where files are written: PATH.tmp-PID.
  const std::filesystem::path& path() const { return temporary_; }
  /// Throws Error(cannot_create) where PATH exists and is not to be replaced, Error(io) where
  /// syncing or renaming fails; PATH is then what it was.
  void commit();

 private:
  void tidy();
  void make_way();

  std::filesystem::path path_;
  Existing existing_;
  std::filesystem::path temporary_;
  std::filesystem::path aside_;
  bool committed_ = false;
};

}  // namespace gist
