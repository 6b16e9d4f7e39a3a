// Views of dense, row-major arrays. A view owns nothing; Buffer (backend.h) and Workspace
// (core/workspace.h) own memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace gist {

enum class Dtype : std::uint8_t { f32, bf16, f16, i32 };

std::size_t size_of(Dtype dtype);
std::string_view name_of(Dtype dtype);                    // "f32", "bf16", "f16", "i32"
std::optional<Dtype> dtype_named(std::string_view name);  // the inverse

/// Up to four dimensions, outermost first.
struct Shape {
  static constexpr int max_rank = 4;
  std::array<std::int64_t, max_rank> dims{};
  int rank = 0;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes);

  std::int64_t operator[](int i) const { return dims[static_cast<std::size_t>(i)]; }
  std::int64_t elements() const;
  bool operator==(const Shape& other) const;
};

std::string to_string(const Shape& shape);  // "[2, 3]"

/// A view of device memory. `data` is an address on the backend's device: only the backend that
/// allocated it may follow it.
struct Tensor {
  void* data = nullptr;
  Dtype dtype = Dtype::f32;
  Shape shape;

  std::size_t bytes() const { return static_cast<std::size_t>(shape.elements()) * size_of(dtype); }
  /// The rows [begin, end) of the outermost dimension.
  Tensor rows(std::int64_t begin, std::int64_t end) const;
  /// The same elements under another shape with as many elements.
  Tensor reshaped(const Shape& other) const;
};

/// A view of host memory, for instance of a tensor in a memory-mapped file.
struct HostTensor {
  const std::byte* data = nullptr;  // little-endian; may be unaligned; null for the meta backend
  Dtype dtype = Dtype::f32;
  Shape shape;
};

/// Conversions of single values, round to nearest even. f16 overflow gives infinity.
float bf16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_bf16(float value);
float f16_to_f32(std::uint16_t bits);
std::uint16_t f32_to_f16(float value);

/// Converts `count` values of any float dtype at `source` (may be unaligned) to f32 and back.
void convert_to_f32(const std::byte* source, Dtype dtype, std::int64_t count, float* target);
void convert_from_f32(const float* source, std::int64_t count, Dtype dtype, std::byte* target);

/// Copies a matrix of this shape, whose values take `value_bytes` (2 or 4) each, to `target` with
/// rows and columns exchanged. Neither need be aligned; they may not overlap.
void transpose(const std::byte* source, const Shape& shape, std::size_t value_bytes,
               std::byte* target);

}  // namespace gist
