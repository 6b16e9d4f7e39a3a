// The types of tensors in GGUF files, and the values of quantised ones: blocks of 32 or 256 values
// with scales of their own (ggml-org/llama.cpp, ggml/src/ggml-quants.c and gguf-py/gguf/quants.py,
// with whose dequantize() the values are equal, bit for bit).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "kernels/tensor.h"

namespace gist {

struct GgufTensorType {
  std::uint32_t number = 0;  // in files
  const char* name = "";     // as StoredTensor::dtype has it
  std::size_t values = 1;    // of a block
  std::size_t bytes = 0;     // of a block
  /// Writes the values of a block; null where the bytes are the values.
  void (*dequantise)(const std::byte* block, float* values) = nullptr;
  Dtype dtype = Dtype::f32;  // of the values
};

/// Null for a type that gist can't read.
const GgufTensorType* gguf_tensor_type(std::uint32_t number);
/// The name that llama.cpp gives a type that gist can't read; "" for numbers without one.
std::string_view name_of_unread_gguf_type(std::uint32_t number);

/// The values of a tensor's bytes, which are whole blocks, of any readable type, as f32.
void gguf_values(const GgufTensorType& type, std::span<const std::byte> bytes, float* values);

}  // namespace gist
