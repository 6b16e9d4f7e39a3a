#include "formats/files/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <system_error>
#include <utility>
#include <vector>

#include "formats/files/descriptor.h"
#include "formats/files/durable.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t read_block = 1 << 20;

}  // namespace

bool may_exist(const std::filesystem::path& path) {
  std::error_code unknown;
  return std::filesystem::exists(path, unknown) || unknown;
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor opened(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (opened.get() < 0) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", path.string(), std::strerror(errno));
  }
  std::string text;
  for (;;) {
    const std::size_t size = text.size();
    text.resize(size + read_block);
    const ssize_t got = ::read(opened.get(), text.data() + size, read_block);
    if (got < 0 && errno != EINTR) {
      const ErrorKind kind = errno == EISDIR ? ErrorKind::no_input : ErrorKind::io;
      fail(kind, "{}: can't be read: {}", path.string(), std::strerror(errno));
    }
    text.resize(size + static_cast<std::size_t>(got < 0 ? 0 : got));
    if (got == 0) return text;
  }
}

void refuse_git_lfs_pointer(std::string_view bytes, const std::string& where) {
  if (!bytes.starts_with("version https://git-lfs.github.com/spec/")) return;
  fail(ErrorKind::data,
       "{}: is a Git LFS pointer, which stands where the file belongs: run \"git lfs pull\" in its "
       "repository, or download the file itself",
       where);
}

bool has_equal_bytes(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code unknown;
  if (!std::filesystem::is_regular_file(a, unknown) ||
      std::filesystem::file_size(a, unknown) != std::filesystem::file_size(b, unknown)) {
    return false;
  }
  std::ifstream first(a, std::ios::binary), second(b, std::ios::binary);
  std::vector<char> ours(read_block), theirs(read_block);
  while (first && second) {
    first.read(ours.data(), static_cast<std::streamsize>(ours.size()));
    second.read(theirs.data(), static_cast<std::streamsize>(theirs.size()));
    const auto count = static_cast<std::size_t>(first.gcount());
    if (first.gcount() != second.gcount() || std::memcmp(ours.data(), theirs.data(), count) != 0) {
      return false;
    }
  }
  return first.eof() && second.eof();
}

AtomicFile::AtomicFile(const std::filesystem::path& path, Existing existing)
    : path_(path), existing_(existing) {
  if (!is_pipe_or_device(path)) {
    descriptor_ = temporary_.emplace(path).descriptor();
    return;
  }
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_APPEND | O_NOCTTY | O_CLOEXEC);
  if (descriptor_ < 0) fail_to_create(path, errno);
}

AtomicFile::~AtomicFile() {
  if (!temporary_ && descriptor_ >= 0) ::close(descriptor_);
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      fail(ErrorKind::io, "{}: can't be written: {}", path_.string(), write_error_text(errno));
    }
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  if (temporary_) {
    temporary_->publish(existing_);
  } else if (::close(std::exchange(descriptor_, -1)) != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", path_.string(), write_error_text(errno));
  }
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text,
                           Existing existing) {
  AtomicFile file(path, existing);
  file.write(text);
  file.commit();
}

}  // namespace gist
