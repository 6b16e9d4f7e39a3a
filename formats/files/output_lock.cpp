#include "formats/files/output_lock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "formats/files/durable.h"
#include "formats/files/file_lock.h"
#include "formats/files/output_file.h"
#include "kernels/error.h"

namespace gist {
namespace {

[[noreturn]] void fail_busy(const std::filesystem::path& output, int descriptor) {
  const std::optional<pid_t> holder = lock_holder(descriptor);
  fail(ErrorKind::busy, "{}: {} works on this output: wait for it to end, or choose another output",
       output.string(), holder ? "process " + std::to_string(*holder) : "another run");
}

/// Locks the file or directory behind the descriptor.
void lock_or_fail(int descriptor, const std::filesystem::path& output) {
  if (try_lock(descriptor)) return;
  if (errno == EWOULDBLOCK) fail_busy(output, descriptor);
  fail(ErrorKind::io, "{}: can't be locked: {}", output.string(), write_error_text(errno));
}

int open_lock_file(const std::filesystem::path& file) {
  const int descriptor =
      ::open(file.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666);
  if (descriptor < 0 && errno != ELOOP) fail_to_create(file, errno);
  struct stat status {};
  if (descriptor >= 0 && ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
      status.st_size == 0) {
    return descriptor;
  }
  if (descriptor >= 0) ::close(descriptor);
  fail(ErrorKind::cannot_create,
       "{}: is no lock of gist, which needs this name: move it away, or choose another output",
       file.string());
}

}  // namespace

OutputLock::OutputLock(int descriptor, std::filesystem::path own_file)
    : descriptor_(descriptor), own_file_(std::move(own_file)) {}

OutputLock OutputLock::of_file(const std::filesystem::path& output) {
  const std::filesystem::path file = output.string() + ".gist-lock";
  for (;;) {
    OutputLock held(open_lock_file(file), "");
    lock_or_fail(held.descriptor_, output);
    // Whoever had the lock until now has removed the file.
    if (!names(file, held.descriptor_)) continue;
    held.own_file_ = file;
    return held;
  }
}

OutputLock OutputLock::of_directory(const std::filesystem::path& output) {
  const int descriptor = ::open(output.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", output.string(), write_error_text(errno));
  }
  OutputLock held(descriptor, "");
  lock_or_fail(descriptor, output);
  // Whoever held the directory until now may have renamed or removed it.
  if (file_id(output) != file_id(descriptor)) fail_busy(output, descriptor);
  return held;
}

OutputLock::OutputLock(OutputLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      own_file_(std::exchange(other.own_file_, {})) {}

OutputLock& OutputLock::operator=(OutputLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(own_file_, other.own_file_);
  return *this;
}

OutputLock::~OutputLock() {
  if (!own_file_.empty()) ::unlink(own_file_.c_str());
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace gist
