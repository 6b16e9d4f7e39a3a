#include "formats/directory_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <string>

#include "formats/lock_holder.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Whoever held the directory until now may have renamed or removed it.
bool still_named(int descriptor, const std::filesystem::path& directory) {
  struct stat ours {
  }, named{};
  return ::fstat(descriptor, &ours) == 0 && ::stat(directory.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

void lock(int descriptor, const std::filesystem::path& directory) {
  const bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno != EWOULDBLOCK) {
    fail(ErrorKind::io, "{}: can't be locked: {}", directory.string(), std::strerror(errno));
  }
  if (locked && still_named(descriptor, directory)) return;
  const std::optional<pid_t> holder = locked ? std::nullopt : flock_holder(descriptor);
  fail(ErrorKind::busy,
       "{}: another gist train holds it{}: wait for its end, or choose another directory",
       directory.string(), holder ? " (process " + std::to_string(*holder) + ")" : "");
}

}  // namespace

DirectoryLock::DirectoryLock(const std::filesystem::path& directory)
    : descriptor_(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", directory.string(), std::strerror(errno));
  }
  try {
    lock(descriptor_, directory);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

DirectoryLock::~DirectoryLock() {
  ::close(descriptor_);
}

}  // namespace gist
