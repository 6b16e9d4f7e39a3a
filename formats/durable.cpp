#include "formats/durable.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
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

void sync_and_rename(const std::filesystem::path& source, const std::filesystem::path& target) {
  if (const int error = sync_error(source, 0); error != 0) {
    fail(ErrorKind::io, "{}: can't be written: {}", source.string(), write_error_text(error));
  }
  if (::rename(source.c_str(), target.c_str()) != 0) {
    fail(ErrorKind::io, "{}: can't be renamed to {}: {}", source.string(), target.string(),
         write_error_text(errno));
  }
  sync_directory_of(target);
}

std::filesystem::path temporary_for(const std::filesystem::path& path) {
  const std::string prefix = path.filename().string() + ".tmp-";
  std::error_code ignored;  // what can't be listed or removed stays: it is only litter
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(path), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const int process = std::atoi(name.c_str() + prefix.size());
    if (process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) {
      std::filesystem::remove(entry.path(), ignored);
    }
  }
  return path.string() + ".tmp-" + std::to_string(::getpid());
}

}  // namespace gist
