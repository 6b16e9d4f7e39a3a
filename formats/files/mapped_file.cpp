#include "formats/files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <utility>

#include "formats/files/descriptor.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::int64_t since_1970_ns(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) {
    fail(ErrorKind::no_input, "{}: can't be opened: {}", path.string(), std::strerror(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    fail(ErrorKind::no_input, "{}: is not a regular file", path.string());
  }
  size_ = static_cast<std::size_t>(status.st_size);
  identity_ = {status.st_dev, status.st_ino, since_1970_ns(status.st_mtim),
               since_1970_ns(status.st_ctim)};
  if (size_ == 0) return;
  void* mapped = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (mapped == MAP_FAILED) {
    fail(ErrorKind::no_input, "{}: can't be mapped into memory: {}", path.string(),
         std::strerror(errno));
  }
  mapping_ = static_cast<std::byte*>(mapped);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      identity_(other.identity_) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(mapping_, other.mapping_);
  std::swap(size_, other.size_);
  std::swap(identity_, other.identity_);
  return *this;
}

MappedFile::~MappedFile() {
  if (mapping_ != nullptr) ::munmap(mapping_, size_);
}

void MappedFile::release(std::span<const std::byte> bytes) const {
  const std::less<> before;  // also of pointers into different arrays
  if (bytes.empty() || before(bytes.data(), mapping_) || !before(bytes.data(), mapping_ + size_)) {
    return;
  }
  // Only whole pages: the rest belongs to the neighbours, too.
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const auto start = static_cast<std::size_t>(bytes.data() - mapping_);
  const std::size_t first = (start + page - 1) / page * page;
  const std::size_t last = (start + bytes.size()) / page * page;
  if (first < last) ::madvise(mapping_ + first, last - first, MADV_DONTNEED);
}

}  // namespace gist
