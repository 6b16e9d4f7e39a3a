// Safetensors files (https://github.com/huggingface/safetensors#format): an 8-byte little-endian
// header length, a JSON header, then the tensors' bytes. Read memory-mapped, written sharded.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kernels/tensor.h"

namespace gist {

/// A tensor as the file spells it. `data` points into the mapping.
struct SafetensorsEntry {
  std::string dtype;  // "F32", "BF16", "F16", "I32", "I64", ...; perhaps one that nothing reads
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

/// FileIdentity tells a file from others, and from itself after a change: no write leaves all of it
/// as it was, though a copy may restore size and time of modification.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;  // nanoseconds since 1970
  std::int64_t changed_ns = 0;   // likewise; by the system's clock, and nobody sets it
};

/// One memory-mapped file. Opening checks the whole header: its size against the file's, valid
/// JSON, shapes against byte counts (where the dtype is known), offsets inside the file, no overlap
/// and no gap.
/// Throws Error(no_input) where the file can't be opened and Error(data) naming file and tensor
/// otherwise.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  const std::filesystem::path& path() const { return path_; }
  std::size_t size() const { return size_; }                  // of the file, in bytes
  const FileIdentity& identity() const { return identity_; }  // of the mapped file
  const std::map<std::string, SafetensorsEntry>& tensors() const { return tensors_; }
  /// Returns what stands before the tensors' bytes: the length and the JSON text.
  std::span<const std::byte> header() const { return {mapping_, header_end_}; }
  /// Says that the tensor's pages need not stay in memory.
  void release(const SafetensorsEntry& entry) const;

 private:
  void read_header();

  std::filesystem::path path_;
  std::byte* mapping_ = nullptr;
  std::size_t size_ = 0;
  std::size_t header_end_ = 0;
  FileIdentity identity_;
  std::map<std::string, SafetensorsEntry> tensors_;
};

/// A tensor to write: `data` holds shape.elements() values of dtype, little-endian. Where it is
/// null, `read` fills them in when they are due, so that not all tensors need be in memory at once.
struct NamedTensor {
  std::string name;
  HostTensor tensor;
  std::function<void(std::span<std::byte> values)> read{};
};

/// Writes model.safetensors, or, where the tensors take more than `max_shard_bytes`,
/// model-00001-of-0000N.safetensors ... and model.safetensors.index.json, as Hugging Face lays them
/// out. The directory exists. Each file is written whole and renamed into place.
void write_safetensors(const std::filesystem::path& directory,
                       const std::vector<NamedTensor>& tensors, std::size_t max_shard_bytes);

/// Gives `directory` the weight files of another one, which write_safetensors wrote, by hard links
/// where the file system has them, else by copies.
void share_safetensors(const std::filesystem::path& from, const std::filesystem::path& directory);

/// Writes one file, whole and renamed into place.
void write_safetensors_file(const std::filesystem::path& path,
                            const std::vector<NamedTensor>& tensors);

}  // namespace gist
