// The container of GGUF files, versions 2 and 3, little-endian: metadata by key, and tensors in
// place (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md). What the keys and tensors of a
// model mean is said in gguf_config.h, gguf_tensors.h and gguf_tokenizer.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "formats/files/mapped_file.h"
#include "formats/gguf/gguf_types.h"

namespace gist {

/// The types of metadata, by their numbers in files.
enum class GgufKind : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

/// An array in place; its elements have been checked to lie within `bytes`.
struct GgufArray {
  GgufKind kind = GgufKind::u8;  // of the elements
  std::uint64_t count = 0;
  std::string_view bytes;
};

/// A value of the metadata. Texts and arrays point into the mapping. Numbers of 32-bit floats have
/// the double that is written with as few digits: 1e-05 for the float next to it.
using GgufValue =
    std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray>;

/// A tensor as the file has it.
struct GgufTensor {
  const GgufTensorType* type = nullptr;
  std::vector<std::int64_t> shape;  // the slowest dimension first, as elsewhere in gist
  const std::byte* data = nullptr;
  std::size_t bytes = 0;
};

/// Its values, as f32.
std::vector<float> gguf_values(const GgufTensor& tensor);

struct GgufFile {
  MappedFile file;
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, GgufTensor, std::less<>> tensors;

  /// Null where there is no such key.
  const GgufValue* find(std::string_view key) const;
  // The value of this key, or nothing where it is missing. Throws Error(data), naming the key, where
  // it is of another kind; whole numbers are numbers, too.
  std::optional<std::string> text(std::string_view key) const;
  std::optional<std::int64_t> integer(std::string_view key) const;
  std::optional<double> number(std::string_view key) const;
  std::optional<bool> flag(std::string_view key) const;
  std::optional<std::vector<std::string_view>> texts(std::string_view key) const;
  std::optional<std::vector<double>> numbers(std::string_view key) const;

  /// "FILE: "KEY"", for messages.
  std::string place_of(std::string_view key) const;
};

/// Maps a file and checks all that it says of itself: counts, lengths and offsets against its size
/// before anything is allocated, keys and names that come twice, the alignment of tensors, and that
/// none overlaps another. Throws Error(no_input) where it can't be opened, and Error(data), naming
/// file and place, for what is no such file, is damaged, is a part of a model that was split, or
/// has tensors of a type that gist can't read.
GgufFile read_gguf_file(const std::filesystem::path& path);

/// Whether the file begins as GGUF files do; false, too, where it can't be read.
bool is_gguf_file(const std::filesystem::path& path);

}  // namespace gist
