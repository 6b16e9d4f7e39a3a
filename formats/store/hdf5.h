// HDF5's C API under handles that close themselves, with gist's errors.
//
// HDF5's own error printing is off while a function of this header runs, and as it was afterwards.
// Error kinds of reading: Error(io) where the operating system fails, Error(data) for everything
// that is wrong with the file. Of writing: Error(io).
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/store/hdf5_driver.h"

namespace gist::hdf5 {

/// Turns HDF5's error printing off in its scope.
class QuietErrors {
 public:
  QuietErrors();
  QuietErrors(const QuietErrors&) = delete;
  QuietErrors& operator=(const QuietErrors&) = delete;
  ~QuietErrors();

 private:
  H5E_auto2_t print_ = nullptr;
  void* data_ = nullptr;
};

/// Owns an HDF5 id of any kind.
class Handle {
 public:
  Handle() = default;
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept;
  Handle& operator=(Handle&& other) noexcept;
  ~Handle();

  hid_t get() const { return id_; }
  explicit operator bool() const { return id_ >= 0; }
  void close();

 private:
  hid_t id_ = H5I_INVALID_HID;
};

/// A file, open for reading or being written. Objects of it may not outlive it.
class File {
 public:
  /// Throws Error(no_input) where the file is missing or can't be opened, Error(data) where it is
  /// no HDF5 file, truncated or damaged.
  static File open(const std::filesystem::path& path);
  /// Creates or replaces the file. Throws Error(cannot_create), or Error(io) on a full disk.
  static File create(const std::filesystem::path& path);
  hid_t id() const { return file_.get(); }
  const std::string& name() const { return name_; }
  std::uint64_t bytes() const { return access_->bytes; }

  /// Throws what HDF5's last failure means: "NAME: WHAT: truncated: ...".
  [[noreturn]] void fail_reading(std::string_view what) const;
  /// Throws Error(io) where a write has failed; `status` is that of the HDF5 call just made.
  void check_written(herr_t status, std::string_view what) const;
  /// Closes a file that was written. Throws Error(io).
  void close();

 private:
  explicit File(const std::filesystem::path& path);

  std::string name_;
  std::shared_ptr<FileAccess> access_;
  Handle file_;
};

/// float32, bfloat16 (HDF5's custom float) and IEEE half, little-endian.
Handle f32_type();
Handle bf16_type();
Handle f16_type();

/// The root group's attributes, of any integer type, any string type; one element. Strings are
/// written at their own length: they then stand in the root group's header, under its checksum,
/// where strings of variable length stand under none.
std::string read_string(const File& file, const char* name);
std::int64_t read_integer(const File& file, const char* name);
bool has_attribute(const File& file, const char* name);
void write_string(const File& file, const char* name, const std::string& text);
void write_integer(const File& file, const char* name, std::int64_t value);

/// An array in the file that can be read: its bytes are all there, in this file.
struct Dataset {
  Handle id;
  std::string name;  // "/index/id"
  std::vector<std::uint64_t> dims;
  Handle type;
  std::uint64_t chunk_rows = 0;   // rows (of the first dimension) in a chunk; all if not chunked
  std::uint64_t chunk_bytes = 0;  // 0 where not chunked
};

bool has_dataset(const File& file, const std::string& name);
/// `name` is "/group/dataset". Throws Error(data) where it is missing, has another class or rank,
/// or claims more elements than the file holds.
Dataset open_dataset(const File& file, const std::string& name, H5T_class_t type_class, int rank);
/// Bytes of decompressed chunks that reading of one array keeps at most, but for one whole chunk.
void set_chunk_cache(const File& file, Dataset& dataset, std::uint64_t bytes);
/// Reads rows [begin, begin + count) of the first dimension as `memory_type`. An integer that
/// doesn't fit the type is an Error(data).
void read_rows(const File& file, const Dataset& dataset, std::uint64_t begin, std::uint64_t count,
               hid_t memory_type, void* target);

/// A new, empty array [0, row_dims...], chunked by `chunk_rows`, with checksums.
Handle create_dataset(const File& file, const std::string& name, hid_t type,
                      const std::vector<std::uint64_t>& row_dims, std::uint64_t chunk_rows);
/// Extends it by `count` rows to `begin + count` and writes them.
void append_rows(const File& file, const Handle& dataset, const std::string& name,
                 const std::vector<std::uint64_t>& row_dims, std::uint64_t begin,
                 std::uint64_t count, hid_t memory_type, const void* source);
void create_group(const File& file, const char* name);

}  // namespace gist::hdf5
