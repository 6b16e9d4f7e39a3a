#include "formats/file_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "formats/durable.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::size_t read_block = 1 << 20;

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int get() const { return descriptor_; }

 private:
  int descriptor_;
};

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

void refuse_git_lfs_pointer(std::string_view bytes, const std::filesystem::path& path) {
  if (!bytes.starts_with("version https://git-lfs.github.com/spec/")) return;
  fail(ErrorKind::data,
       "{}: is a Git LFS pointer, which stands where the file belongs: run \"git lfs pull\" in its "
       "repository, or download the file itself",
       path.string());
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(temporary_for(path_)) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) {
    const ErrorKind kind = errno == ENOSPC ? ErrorKind::io : ErrorKind::cannot_create;
    fail(kind, "{}: can't be created: {}", temporary_.string(), std::strerror(errno));
  }
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
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
  if (::close(std::exchange(descriptor_, -1)) != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", path_.string(), write_error_text(errno));
  }
  sync_and_rename(temporary_, path_);
  temporary_.clear();
}

void write_file_atomically(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace gist
