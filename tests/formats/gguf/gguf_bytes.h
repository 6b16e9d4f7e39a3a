// GGUF files as bytes, valid or not.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf/gguf_file.h"

namespace gist::testing {

template <typename T>
std::string number_bytes(T value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

inline std::string gguf_text(std::string_view text) {
  return number_bytes(std::uint64_t{text.size()}) + std::string(text);
}

inline std::string gguf_kind(GgufKind kind) {
  return number_bytes(static_cast<std::uint32_t>(kind));
}

/// Puts a file together, piece by piece.
struct GgufBytes {
  std::uint32_t version = 3;
  std::uint64_t keys = 0, tensors = 0;
  std::string metadata{}, descriptions{}, data{};

  GgufBytes& add(std::string_view key, GgufKind kind, const std::string& value) {
    metadata += gguf_text(key) + gguf_kind(kind) + value;
    ++keys;
    return *this;
  }
  GgufBytes& text(std::string_view key, std::string_view value) {
    return add(key, GgufKind::string, gguf_text(value));
  }
  GgufBytes& integer(std::string_view key, std::uint32_t value) {
    return add(key, GgufKind::u32, number_bytes(value));
  }
  GgufBytes& real(std::string_view key, float value) {
    return add(key, GgufKind::f32, number_bytes(value));
  }
  GgufBytes& flag(std::string_view key, bool value) {
    return add(key, GgufKind::boolean, std::string(1, value ? '\1' : '\0'));
  }
  GgufBytes& array(std::string_view key, GgufKind kind, std::uint64_t count,
                   const std::string& values) {
    return add(key, GgufKind::array, gguf_kind(kind) + number_bytes(count) + values);
  }
  GgufBytes& texts(std::string_view key, const std::vector<std::string>& values) {
    std::string all;
    for (const std::string& value : values) all += gguf_text(value);
    return array(key, GgufKind::string, values.size(), all);
  }
  template <typename T>
  GgufBytes& numbers(std::string_view key, GgufKind kind, const std::vector<T>& values) {
    std::string all;
    for (const T value : values) all += number_bytes(value);
    return array(key, kind, values.size(), all);
  }
  /// Sizes as files have them: the fastest dimension first.
  GgufBytes& tensor(std::string_view name, const std::vector<std::uint64_t>& sizes,
                    std::uint32_t type, const std::string& bytes) {
    return tensor_at(name, sizes, type, bytes, data.size());
  }
  GgufBytes& tensor_at(std::string_view name, const std::vector<std::uint64_t>& sizes,
                       std::uint32_t type, const std::string& bytes, std::uint64_t offset) {
    descriptions += gguf_text(name) + number_bytes(static_cast<std::uint32_t>(sizes.size()));
    for (const std::uint64_t size : sizes) descriptions += number_bytes(size);
    descriptions += number_bytes(type) + number_bytes(offset);
    data += bytes + std::string((32 - bytes.size() % 32) % 32, '\0');
    ++tensors;
    return *this;
  }

  std::string bytes() const {
    std::string head = "GGUF" + number_bytes(version) + number_bytes(tensors) + number_bytes(keys) +
                       metadata + descriptions;
    head += std::string((32 - head.size() % 32) % 32, '\0');
    return head + data;
  }
};

}  // namespace gist::testing
