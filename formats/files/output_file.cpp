#include "formats/files/output_file.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <utility>

#include "formats/files/descriptor.h"
#include "formats/files/durable.h"
#include "formats/files/file_lock.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::string_view digits = "0123456789abcdef";
constexpr std::size_t digit_count = 16;

std::optional<struct stat> status_of(const std::filesystem::path& path, int flags) {
  struct stat status {};
  if (::fstatat(AT_FDCWD, path.c_str(), &status, flags) != 0) return std::nullopt;
  return status;
}

void remove_if_left(const std::filesystem::path& path) {
  const Descriptor left(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (left.get() < 0) return;
  if (try_lock(left.get()) && names(path, left.get())) ::unlink(path.c_str());
}

/// Renames where the target's name is free; the answer is an errno.
int rename_to_free_name(const std::filesystem::path& source, const std::filesystem::path& target) {
  if (::renameat2(AT_FDCWD, source.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // Not every file system has hard links.
  if (::link(source.c_str(), target.c_str()) != 0) return errno;
  return ::unlink(source.c_str()) == 0 ? 0 : errno;
}

int rename_over(const std::filesystem::path& source, const std::filesystem::path& target) {
  return ::rename(source.c_str(), target.c_str()) == 0 ? 0 : errno;
}

}  // namespace

std::optional<FileId> file_id(const std::filesystem::path& path) {
  const auto status = status_of(path, 0);
  if (!status) return std::nullopt;
  return FileId{status->st_dev, status->st_ino};
}

std::optional<FileId> file_id(int descriptor) {
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

bool names(const std::filesystem::path& path, int descriptor) {
  const auto named = status_of(path, AT_SYMLINK_NOFOLLOW);
  return named && file_id(descriptor) == FileId{named->st_dev, named->st_ino};
}

bool is_taken(const std::filesystem::path& path) {
  return status_of(path, AT_SYMLINK_NOFOLLOW).has_value();
}

bool is_empty_file(const std::filesystem::path& path) {
  const auto status = status_of(path, AT_SYMLINK_NOFOLLOW);
  return status && S_ISREG(status->st_mode) && status->st_size == 0;
}

bool is_pipe_or_device(const std::filesystem::path& path) {
  const auto status = status_of(path, 0);
  return status && !S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode);
}

std::string random_digits() {
  std::array<unsigned char, digit_count / 2> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    fail(ErrorKind::internal, "the system gives no random numbers");
  }
  std::string text;
  for (const unsigned char byte : bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

bool has_random_digits(std::string_view text, std::string_view prefix) {
  return text.starts_with(prefix) && text.size() == prefix.size() + digit_count &&
         text.find_first_not_of(digits, prefix.size()) == std::string_view::npos;
}

void rename_durably(const std::filesystem::path& source, const std::filesystem::path& target,
                    Existing existing) {
  int error = existing == Existing::replace ? rename_over(source, target)
                                            : rename_to_free_name(source, target);
  if (error == EEXIST && is_empty_file(target)) error = rename_over(source, target);
  if (error == EEXIST) {
    fail(ErrorKind::cannot_create,
         "{} exists: it came while this run was at work, and is left as it is", target.string());
  }
  if (error != 0) {
    fail(ErrorKind::io, "{}: can't be renamed to {}: {}", source.string(), target.string(),
         write_error_text(error));
  }
  sync_directory_of(target);
}

void fail_to_create(const std::filesystem::path& path, int error) {
  const bool full = error == ENOSPC || error == EDQUOT || error == EIO;
  fail(full ? ErrorKind::io : ErrorKind::cannot_create, "{}: can't be created: {}", path.string(),
       write_error_text(error));
}

void remove_left_files(const std::filesystem::path& target) {
  const std::string prefix = target.filename().string() + temporary_infix;
  std::error_code ignored;  // what can't be listed stays: it is only litter
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(target), ignored)) {
    std::error_code unknown;
    const bool is_file =
        entry.symlink_status(unknown).type() == std::filesystem::file_type::regular;
    if (is_file && has_random_digits(entry.path().filename().string(), prefix)) {
      remove_if_left(entry.path());
    }
  }
}

TemporaryFile::TemporaryFile(std::filesystem::path target) : target_(std::move(target)) {
  remove_left_files(target_);
  for (;;) {
    path_ = target_.string() + temporary_infix + random_digits();
    descriptor_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && errno == EEXIST) continue;
    if (descriptor_ < 0) fail_to_create(path_, errno);
    // Another process may have taken the new file for one that was left behind.
    if ((try_lock(descriptor_) || errno != EWOULDBLOCK) && names(path_, descriptor_)) return;
    ::close(descriptor_);
  }
}

TemporaryFile::~TemporaryFile() {
  if (!published_) ::unlink(path_.c_str());
  ::close(descriptor_);
}

void TemporaryFile::publish(Existing existing) {
  if (::fsync(descriptor_) != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", target_.string(), write_error_text(errno));
  }
  rename_durably(path_, target_, existing);
  published_ = true;
}

}  // namespace gist
