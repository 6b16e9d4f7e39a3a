#include "formats/durable.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
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

/// The process id that the text spells, or 0.
pid_t process_in(std::string_view text) {
  pid_t process = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, process);
  return error == std::errc() && rest == end ? process : 0;
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

std::vector<std::filesystem::path> left_beside(const std::filesystem::path& path,
                                               std::string_view infix) {
  const std::string prefix = path.filename().string() + std::string(infix);
  std::vector<std::filesystem::path> left;
  std::error_code ignored;  // what can't be listed stays: it is only litter
  for (const auto& entry : std::filesystem::directory_iterator(directory_of(path), ignored)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    const pid_t process = process_in(std::string_view(name).substr(prefix.size()));
    if (process > 0 && ::kill(process, 0) != 0 && errno == ESRCH) left.push_back(entry.path());
  }
  return left;
}

std::filesystem::path temporary_for(const std::filesystem::path& path) {
  constexpr std::string_view infix = ".tmp-";
  for (const std::filesystem::path& litter : left_beside(path, infix)) {
    std::error_code ignored;
    std::filesystem::remove_all(litter, ignored);
  }
  return path.string() + std::string(infix) + std::to_string(::getpid());
}

}  // namespace gist
