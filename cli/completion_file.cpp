#include "cli/completion_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "formats/durable.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The length of a file up to the end of its last whole line.
off_t whole_lines(int descriptor, off_t size, const std::string& name) {
  std::array<char, 1 << 16> chunk;
  off_t end = size;
  while (end > 0) {
    const off_t begin = std::max<off_t>(0, end - static_cast<off_t>(chunk.size()));
    const ssize_t count =
        ::pread(descriptor, chunk.data(), static_cast<std::size_t>(end - begin), begin);
    if (count != end - begin) fail(ErrorKind::io, "{}: {}", name, std::strerror(errno));
    const std::string_view text(chunk.data(), static_cast<std::size_t>(count));
    const std::size_t last = text.rfind('\n');
    if (last != std::string_view::npos) return begin + static_cast<off_t>(last) + 1;
    end = begin;
  }
  return 0;
}

off_t size_of_file(int descriptor) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 ? status.st_size : 0;
}

}  // namespace

CompletionFile::CompletionFile(const std::filesystem::path& path, Existing existing)
    : path_(path), partial_(path.string() + ".partial") {
  const bool begun = std::filesystem::exists(partial_);
  const bool done = std::filesystem::exists(path_);
  if (done && !begun && existing == Existing::resume) {
    written_.emplace(path_.string(), nullptr);
    return;
  }
  if (done && existing == Existing::refuse) {
    fail(ErrorKind::cannot_create, "{} exists: choose another --output, or --force replaces it",
         path_.string());
  }
  descriptor_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    fail(ErrorKind::cannot_create, "{}: {}", partial_.string(), std::strerror(errno));
  }
  try {
    lock();
    if (begun && existing == Existing::refuse) {
      fail(ErrorKind::cannot_create,
           "{} holds an unfinished run: --resume goes on with it, --force discards it",
           partial_.string());
    }
    if (existing == Existing::replace && ::ftruncate(descriptor_, 0) != 0) {
      fail(ErrorKind::io, "{}: {}", partial_.string(), std::strerror(errno));
    }
    cut_torn_line();
    written_.emplace(partial_.string(), nullptr);
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
  out_.emplace(descriptor_, partial_.string());
}

CompletionFile::~CompletionFile() {
  if (descriptor_ < 0) return;
  if (is_partial_file() && !has_lines()) ::unlink(partial_.c_str());
  ::close(descriptor_);
}

/// The file may have been renamed or removed by the run that had the lock until now.
void CompletionFile::lock() {
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0 || !is_partial_file()) {
    fail(ErrorKind::busy,
         "{} is in use by another run: wait for its end, or choose another --output",
         partial_.string());
  }
}

bool CompletionFile::is_partial_file() const {
  struct stat ours {
  }, named{};
  return ::fstat(descriptor_, &ours) == 0 && ::stat(partial_.c_str(), &named) == 0 &&
         ours.st_ino == named.st_ino && ours.st_dev == named.st_dev;
}

void CompletionFile::cut_torn_line() {
  const off_t size = size_of_file(descriptor_);
  const off_t whole = whole_lines(descriptor_, size, partial_.string());
  if (whole < size && ::ftruncate(descriptor_, whole) != 0) {
    fail(ErrorKind::io, "{}: {}", partial_.string(), std::strerror(errno));
  }
}

std::optional<std::string> CompletionFile::next_written() {
  if (!written_) return std::nullopt;
  std::optional<std::string> line = written_->next();
  if (!line) written_.reset();  // what comes now are lines of this run
  return line;
}

std::string CompletionFile::where() const {
  return finished() ? path_.string() : partial_.string();
}

bool CompletionFile::has_lines() const {
  return size_of_file(descriptor_) > 0;
}

void CompletionFile::publish() {
  out_->flush();
  sync_and_rename(partial_, path_);
}

}  // namespace gist
