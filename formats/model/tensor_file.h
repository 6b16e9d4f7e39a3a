// A file of a checkpoint, in whichever format: its tensors, in place. safetensors.h, torch_file.h and
// formats/gguf/gguf_tensors.h open them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/files/mapped_file.h"

namespace gist {

/// A tensor as a file has it.
struct StoredTensor {
  std::string dtype;  // "F32", "BF16", "F16", "I32", "I64", ...; perhaps one that nothing reads
  std::vector<std::int64_t> shape;
  const std::byte* data = nullptr;  // row-major, little-endian; may be unaligned
  std::size_t bytes = 0;
  /// Where the bytes aren't the values, row-major: gives these. Quantised ones, or in another order.
  std::function<std::vector<float>()> as_f32{};
};

struct TensorFile {
  MappedFile file;
  std::map<std::string, StoredTensor> tensors;  // data points into the mapping, or into `copies`
  std::vector<std::vector<std::byte>> copies{};
  std::map<std::string, std::string> metadata{};  // of a safetensors file: what it says of itself

  /// Says that the tensor's pages need not stay in memory.
  void release(const StoredTensor& tensor) const { file.release({tensor.data, tensor.bytes}); }
};

/// Bytes of a value, by the dtype's name in safetensors files; nothing for dtypes that gist doesn't
/// know: a tensor of one is refused when something reads it.
std::optional<std::size_t> element_bytes(std::string_view dtype);

/// Bytes of a tensor whose values take `each`. Throws Error(data) where they are 2^64 or more.
std::size_t tensor_bytes(const std::vector<std::int64_t>& shape, std::size_t each,
                         const std::string& place);

/// "FILE: tensor "NAME"", for messages.
std::string place_of_tensor(const std::filesystem::path& file, std::string_view name);

}  // namespace gist
