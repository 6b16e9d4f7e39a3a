// Whole files, in and out.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/files/output_file.h"

namespace gist {

/// Whether the path exists; true, too, where that can't be told: then opening it says why.
bool may_exist(const std::filesystem::path& path);

/// Throws Error(no_input) where the file is missing or can't be opened, Error(io) where reading
/// fails.
std::string read_file(const std::filesystem::path& path);

/// Throws Error(data), saying what to do, where the bytes that a file begins with are those of a
/// pointer that Git LFS leaves in place of a file. `where` names the file.
void refuse_git_lfs_pointer(std::string_view bytes, const std::string& where);

/// Whether both are regular files with the same bytes.
bool has_equal_bytes(const std::filesystem::path& a, const std::filesystem::path& b);

/// A file that appears whole or not at all: bytes go to a TemporaryFile beside it, which `commit`
/// publishes. Without commit nothing stays. A pipe or device is written into as it is. Throws
/// Error(cannot_create) where the directory can't be written, Error(io) where writing fails (disk
/// full), and as TemporaryFile::publish does.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path, Existing existing = Existing::replace);
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  ~AtomicFile();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);
  void commit();

 private:
  std::filesystem::path path_;
  Existing existing_;
  std::optional<TemporaryFile> temporary_;  // nothing for a pipe or device
  int descriptor_ = -1;                     // of either
};

void write_file_atomically(const std::filesystem::path& path, std::string_view text,
                           Existing existing = Existing::replace);

}  // namespace gist
