#include "formats/lock_holder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <sstream>
#include <string>

namespace gist {
namespace {

// SQLite's file format, "The Lock-Byte Page": the bytes on which it sets its locks.
constexpr off_t first_lock_byte = 0x40000000;
constexpr off_t lock_bytes = 512;

/// Only what a child of a process with threads may call.
pid_t ask(const char* path) {
  const int descriptor = ::open(path, O_RDWR | O_CLOEXEC);
  struct flock query {};
  query.l_type = F_WRLCK;
  query.l_whence = SEEK_SET;
  query.l_start = first_lock_byte;
  query.l_len = lock_bytes;
  const bool told = descriptor >= 0 && ::fcntl(descriptor, F_GETLK, &query) == 0;
  return told && query.l_type != F_UNLCK ? query.l_pid : 0;
}

}  // namespace

std::optional<pid_t> lock_holder(const std::filesystem::path& database) {
  // In a child: the holder may be this process itself, and closing any descriptor of a file drops
  // all locks that the process has on it.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
  const char* const path = database.c_str();
  const pid_t child = ::fork();
  if (child == 0) {
    const pid_t holder = ask(path);
    const ssize_t written = ::write(ends[1], &holder, sizeof holder);
    ::_exit(written == sizeof holder ? 0 : 1);
  }
  ::close(ends[1]);
  pid_t holder = 0;
  ssize_t got = -1;
  if (child > 0) {
    do {
      got = ::read(ends[0], &holder, sizeof holder);
    } while (got < 0 && errno == EINTR);
    while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(ends[0]);
  if (got != sizeof holder || holder <= 0) return std::nullopt;
  return holder;
}

std::optional<pid_t> flock_holder(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return std::nullopt;
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", ::major(status.st_dev),
                                         ::minor(status.st_dev), status.st_ino);
  // proc_locks(5): "1: FLOCK  ADVISORY  WRITE 6426 fe:00:10954559 0 EOF"
  std::ifstream locks("/proc/locks");
  for (std::string line; std::getline(locks, line);) {
    std::istringstream fields(line);
    std::string number, kind, mode, access, file;
    pid_t holder = 0;
    fields >> number >> kind >> mode >> access >> holder >> file;
    if (kind == "FLOCK" && file == wanted && holder > 0) return holder;
  }
  return std::nullopt;
}

}  // namespace gist
