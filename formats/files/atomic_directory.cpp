#include "formats/files/atomic_directory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>
#include <system_error>

#include "formats/files/durable.h"
#include "formats/files/file_lock.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* mark_name = "unfinished-by-gist";
constexpr const char* fresh_name = "new";
constexpr const char* aside_name = "old";

/// Removes the slash that a user may type at the end.
std::filesystem::path plain(const std::filesystem::path& path) {
  const std::filesystem::path normal = path.lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

/// The mark goes last: what a process that is killed meanwhile leaves is still known by it.
void remove_whole(const std::filesystem::path& workspace) {
  std::error_code ignored;  // what can't be removed stays: it is only litter
  for (const char* name : {fresh_name, aside_name}) {
    std::filesystem::remove_all(workspace / name, ignored);
  }
  std::filesystem::remove_all(workspace, ignored);
}

void rename_or_fail(const std::filesystem::path& source, const std::filesystem::path& target) {
  if (std::rename(source.c_str(), target.c_str()) == 0) return;
  fail(ErrorKind::io, "{}: can't be renamed to {}: {}", source.string(), target.string(),
       write_error_text(errno));
}

/// Puts back what was moved aside, where nothing else has its name.
void put_back(const std::filesystem::path& workspace, const std::filesystem::path& path) {
  const std::filesystem::path aside = workspace / aside_name;
  if (!is_taken(aside) || is_taken(path)) return;
  rename_or_fail(aside, path);
  sync_directory_of(path);
}

}  // namespace

void tidy_left_directories(const std::filesystem::path& parent) {
  std::error_code ignored;  // what can't be listed stays: it is only litter
  for (const auto& entry : std::filesystem::directory_iterator(parent, ignored)) {
    const std::string name = entry.path().filename().string();
    const std::size_t end = name.rfind(temporary_infix);
    if (end == std::string::npos || !has_random_digits(name, name.substr(0, end) + temporary_infix))
      continue;
    const int descriptor =
        ::open(entry.path().c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (descriptor < 0) continue;
    // Its process is gone where the lock is free.
    const bool marked = is_empty_file(entry.path() / mark_name);
    const bool left = try_lock(descriptor);
    // One without a mark was killed as it made or removed it: it is empty, or not gist's.
    if (left && !marked) ::rmdir(entry.path().c_str());
    ::close(descriptor);
    if (!left || !marked) continue;
    put_back(entry.path(), parent / name.substr(0, end));
    remove_whole(entry.path());
  }
}

AtomicDirectory::AtomicDirectory(const std::filesystem::path& path, Existing existing)
    : path_(plain(path)), existing_(existing) {
  tidy_left_directories(directory_of(path_));
  make_workspace();
}

AtomicDirectory::~AtomicDirectory() {
  // The directory that was moved aside may be the only copy: then it stays, for the next run to put
  // back.
  if (!is_taken(workspace_ / aside_name) || is_taken(path_)) remove_whole(workspace_);
  ::close(descriptor_);
}

void AtomicDirectory::open_new_workspace() {
  int error = EEXIST;
  while (error == EEXIST) {
    workspace_ = path_.string() + temporary_infix + random_digits();
    error = ::mkdir(workspace_.c_str(), 0777) == 0 ? 0 : errno;
  }
  if (error != 0) fail_to_create(workspace_, error);
  descriptor_ = ::open(workspace_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor_ < 0 && errno != ENOENT) fail_to_create(workspace_, errno);
}

void AtomicDirectory::make_workspace() {
  // The lock comes before the mark, so that no other process takes a marked one for left behind. One
  // that is empty may be tidied away before it is locked: then another is made.
  open_new_workspace();
  const auto lost = [this] {
    if (descriptor_ < 0) return true;
    const bool taken = !try_lock(descriptor_) && errno == EWOULDBLOCK;  // else there are no locks
    return taken || !is_taken(workspace_);
  };
  while (lost()) {
    if (descriptor_ >= 0) ::close(descriptor_);
    open_new_workspace();
  }
  const int mark = ::openat(descriptor_, mark_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  fresh_ = workspace_ / fresh_name;
  if (mark < 0 || ::close(mark) != 0 || ::mkdirat(descriptor_, fresh_name, 0777) != 0) {
    const int error = errno;
    remove_whole(workspace_);
    ::close(descriptor_);
    fail_to_create(workspace_, error);
  }
}

void AtomicDirectory::commit() {
  sync_tree(fresh_);
  if (!is_taken(path_)) {
    rename_durably(fresh_, path_, Existing::refuse);
  } else if (existing_ == Existing::refuse) {
    fail(ErrorKind::cannot_create, "{} exists: choose another directory, or remove it",
         path_.string());
  } else {
    replace();
  }
  remove_whole(workspace_);
}

void AtomicDirectory::replace() {
  if (::renameat2(AT_FDCWD, fresh_.c_str(), AT_FDCWD, path_.c_str(), RENAME_EXCHANGE) != 0) {
    const std::filesystem::path aside = workspace_ / aside_name;
    rename_or_fail(path_, aside);
    try {
      rename_or_fail(fresh_, path_);
    } catch (...) {
      put_back(workspace_, path_);
      throw;
    }
  }
  sync_directory_of(path_);
}

}  // namespace gist
