// A file in memory as the system maps it: what is read of it comes from the disk when it is looked
// at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>

namespace gist {

/// FileIdentity tells a file from others, and from itself after a change: no write leaves all of it
/// as it was, though a copy may restore size and time of modification.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;  // nanoseconds since 1970
  std::int64_t changed_ns = 0;   // likewise; by the system's clock, and nobody sets it
};

/// One memory-mapped file, to read. Throws Error(no_input) where it can't be opened or mapped, or is
/// no regular file. What points into the mapping stays valid when the MappedFile is moved.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  MappedFile(MappedFile&&) noexcept;
  MappedFile& operator=(MappedFile&&) noexcept;
  ~MappedFile();

  const std::filesystem::path& path() const { return path_; }
  std::size_t size() const { return size_; }                  // of the file, in bytes
  const FileIdentity& identity() const { return identity_; }  // of the mapped file
  std::span<const std::byte> bytes() const { return {mapping_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(mapping_), size_}; }
  /// Says that these bytes, which may be others than the file's, need not stay in memory.
  void release(std::span<const std::byte> bytes) const;

 private:
  std::filesystem::path path_;
  std::byte* mapping_ = nullptr;  // null where the file is empty
  std::size_t size_ = 0;
  FileIdentity identity_;
};

}  // namespace gist
