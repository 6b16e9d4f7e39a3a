// Safetensors files (https://github.com/huggingface/safetensors#format): an 8-byte little-endian
// header length, a JSON header, then the tensors' bytes. Read memory-mapped, written sharded.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "formats/model/tensor_file.h"
#include "kernels/tensor.h"

namespace gist {

/// Maps a file and checks its whole header: its size against the file's, valid JSON, shapes against
/// byte counts (where the dtype is known), offsets inside the file, no overlap and no gap. Throws
/// Error(no_input) where the file can't be opened and Error(data) naming file and tensor otherwise.
TensorFile read_safetensors(const std::filesystem::path& path);

/// What stands before the tensors' bytes of such a file: the length and the JSON text.
std::span<const std::byte> safetensors_header(const TensorFile& file);

/// A tensor to write: `data` holds shape.elements() values of dtype, little-endian. Where it is
/// null, `read` fills them in when they are due, so that not all tensors need be in memory at once.
struct NamedTensor {
  std::string name;
  HostTensor tensor;
  std::function<void(std::span<std::byte> values)> read{};
};

/// The JSON text of a file that has these tensors, one after the other, padded with spaces so that
/// the first one is aligned. `metadata` is what it says of itself ("__metadata__").
std::string safetensors_header_text(std::span<const NamedTensor* const> tensors,
                                    const std::map<std::string, std::string>& metadata);

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
