#include "formats/atomic_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "formats/durable.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* aside_infix = ".old-";

/// Whether something has this name, were it a link to nothing.
bool is_taken(const std::filesystem::path& path) {
  struct stat status {};
  return ::lstat(path.c_str(), &status) == 0;
}

/// Without the slash that a user may type at the end.
std::filesystem::path plain(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

void remove_whole(const std::filesystem::path& directory) {
  std::error_code ignored;  // what can't be removed stays: it is only litter
  std::filesystem::remove_all(directory, ignored);
}

void rename_or_fail(const std::filesystem::path& source, const std::filesystem::path& target) {
  if (std::rename(source.c_str(), target.c_str()) == 0) return;
  fail(ErrorKind::io, "{}: can't be renamed to {}: {}", source.string(), target.string(),
       write_error_text(errno));
}

}  // namespace

AtomicDirectory::AtomicDirectory(const std::filesystem::path& path, Existing existing)
    : path_(plain(path)),
      existing_(existing),
      temporary_(temporary_for(path_)),
      aside_(path_.string() + aside_infix + std::to_string(::getpid())) {
  tidy();
  if (::mkdir(temporary_.c_str(), 0777) != 0) {
    const ErrorKind kind = errno == ENOSPC ? ErrorKind::io : ErrorKind::cannot_create;
    fail(kind, "{}: can't be created: {}", temporary_.string(), std::strerror(errno));
  }
}

AtomicDirectory::~AtomicDirectory() {
  if (!committed_) remove_whole(temporary_);
}

/// Puts back, or removes, what killed processes left. One of them may have had this process's id:
/// in a container ids are few.
void AtomicDirectory::tidy() {
  std::vector<std::filesystem::path> old = left_beside(path_, aside_infix);
  if (is_taken(aside_)) old.push_back(aside_);
  for (const std::filesystem::path& directory : old) {
    if (is_taken(path_)) {
      remove_whole(directory);
    } else {
      rename_or_fail(directory, path_);
      sync_directory_of(path_);
    }
  }
  remove_whole(temporary_);
}

void AtomicDirectory::commit() {
  sync_tree(temporary_);
  const bool replaces = is_taken(path_);
  if (replaces) make_way();
  if (std::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    if (replaces) rename_or_fail(aside_, path_);
    fail(ErrorKind::io, "{}: can't be renamed to {}: {}", temporary_.string(), path_.string(),
         write_error_text(error));
  }
  committed_ = true;
  sync_directory_of(path_);
  if (replaces) remove_whole(aside_);
}

void AtomicDirectory::make_way() {
  if (existing_ == Existing::refuse) {
    fail(ErrorKind::cannot_create, "{} exists: choose another directory, or remove it",
         path_.string());
  }
  rename_or_fail(path_, aside_);
}

}  // namespace gist
