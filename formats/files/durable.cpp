#include "formats/files/durable.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "kernels/error.h"

namespace gist {
namespace {

/// fsync by path. File systems that can't sync directories say EINVAL; that is no fault.
int sync_error(const std::filesystem::path& path, int flags) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (descriptor < 0) return errno;
  const int error = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  return (flags & O_DIRECTORY) != 0 && error == EINVAL ? 0 : error;
}

}  // namespace

std::string write_error_text(int error) {
  if (error == ENOSPC) return "the disk is full";
  if (error == EDQUOT) return "the disk quota is used up";
  if (error == EFBIG)
    return "the limit of a file's size is reached (ulimit -f, or the file system's)";
  return std::generic_category().message(error);
}

std::filesystem::path directory_of(const std::filesystem::path& path) {
  const std::filesystem::path directory = path.parent_path();
  return directory.empty() ? std::filesystem::path(".") : directory;
}

void sync_directory_of(const std::filesystem::path& path) {
  const std::filesystem::path directory = directory_of(path);
  if (const int error = sync_error(directory, O_DIRECTORY); error != 0) {
    fail(ErrorKind::io, "{}: can't sync the directory: {}", directory.string(),
         write_error_text(error));
  }
}

void sync_tree(const std::filesystem::path& directory) {
  const auto sync = [](const std::filesystem::path& path, int flags) {
    if (const int error = sync_error(path, flags); error != 0) {
      fail(ErrorKind::io, "{}: can't be written: {}", path.string(), write_error_text(error));
    }
  };
  try {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
      if (!entry.is_symlink()) sync(entry.path(), entry.is_directory() ? O_DIRECTORY : 0);
    }
  } catch (const std::filesystem::filesystem_error& error) {
    fail(ErrorKind::io, "{}: can't be listed: {}", directory.string(), error.code().message());
  }
  sync(directory, O_DIRECTORY);
}

}  // namespace gist
