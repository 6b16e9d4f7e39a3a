// Whole files, in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace gist {

/// Whether the path exists; true, too, where that can't be told: then opening it says why.
bool may_exist(const std::filesystem::path& path);

/// Throws Error(no_input) where the file is missing or can't be opened, Error(io) where reading
/// fails.
std::string read_file(const std::filesystem::path& path);

/// Throws Error(data), saying what to do, where the bytes that a file begins with are those of a
/// pointer that Git LFS leaves in place of a file.
void refuse_git_lfs_pointer(std::string_view bytes, const std::filesystem::path& path);

/// A file that appears whole or not at all: bytes go to PATH.tmp-PID, which `commit` syncs and
/// renames over the path. Without commit nothing stays. Throws Error(cannot_create) where the
/// directory can't be written, Error(io) where writing fails (disk full).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
};

void write_file_atomically(const std::filesystem::path& path, std::string_view text);

}  // namespace gist
