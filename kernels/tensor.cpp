#include "kernels/tensor.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/error.h"

namespace gist {

std::size_t size_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
    case Dtype::i32:
      return 4;
    case Dtype::bf16:
    case Dtype::f16:
      return 2;
  }
  fail(ErrorKind::internal, "size_of: no dtype has the number {}", static_cast<int>(dtype));
}

std::string_view name_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return "f32";
    case Dtype::bf16:
      return "bf16";
    case Dtype::f16:
      return "f16";
    case Dtype::i32:
      return "i32";
  }
  fail(ErrorKind::internal, "name_of: no dtype has the number {}", static_cast<int>(dtype));
}

std::optional<Dtype> dtype_named(std::string_view name) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::i32}) {
    if (name_of(dtype) == name) return dtype;
  }
  return std::nullopt;
}

Shape::Shape(std::initializer_list<std::int64_t> sizes) {
  if (sizes.size() > static_cast<std::size_t>(max_rank)) {
    fail(ErrorKind::internal, "a shape has at most {} dimensions, not {}", max_rank, sizes.size());
  }
  for (const std::int64_t size : sizes) {
    if (size < 0) fail(ErrorKind::internal, "a shape can't have the negative dimension {}", size);
    dims[static_cast<std::size_t>(rank++)] = size;
  }
}

std::int64_t Shape::elements() const {
  std::int64_t count = 1;
  for (int i = 0; i < rank; ++i) count *= (*this)[i];
  return count;
}

bool Shape::operator==(const Shape& other) const {
  if (rank != other.rank) return false;
  for (int i = 0; i < rank; ++i) {
    if ((*this)[i] != other[i]) return false;
  }
  return true;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (int i = 0; i < shape.rank; ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

Tensor Tensor::rows(std::int64_t begin, std::int64_t end) const {
  if (shape.rank < 1 || begin < 0 || begin > end || end > shape[0]) {
    fail(ErrorKind::internal, "rows [{}, {}) don't lie within a tensor {}", begin, end,
         to_string(shape));
  }
  Tensor view = *this;
  view.shape.dims[0] = 1;
  const std::size_t row_bytes = view.bytes();
  view.shape.dims[0] = end - begin;
  if (data != nullptr) {
    view.data = static_cast<std::byte*>(data) + static_cast<std::size_t>(begin) * row_bytes;
  }
  return view;
}

Tensor Tensor::reshaped(const Shape& other) const {
  if (other.elements() != shape.elements()) {
    fail(ErrorKind::internal, "a tensor {} can't take the shape {}", to_string(shape),
         to_string(other));
  }
  Tensor view = *this;
  view.shape = other;
  return view;
}

float bf16_to_f32(std::uint16_t bits) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16);
}

std::uint16_t f32_to_bf16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t rounded = (bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16;
  const std::uint32_t quiet_nan = (bits >> 16) | 0x40U;  // rounding could carry a NaN into infinity
  const bool is_nan = (bits & 0x7fffffffU) > 0x7f800000U;
  return static_cast<std::uint16_t>(is_nan ? quiet_nan : rounded);
}

// Both f16 conversions are free of branches, so that the loops below vectorise.
float f16_to_f32(std::uint16_t bits) {
  const std::uint32_t sign = (bits & 0x8000U) << 16;
  const std::uint32_t magnitude = bits & 0x7fffU;
  // Normal numbers: move exponent and mantissa into place and correct the bias (127 - 15).
  const std::uint32_t normal = (magnitude << 13) + (112U << 23);
  const std::uint32_t infinite_or_nan = normal + (112U << 23);
  // Subnormal numbers are magnitude * 2^-24, exactly representable.
  const auto subnormal = std::bit_cast<std::uint32_t>(
      static_cast<float>(static_cast<std::int32_t>(magnitude)) * 0x1p-24F);
  const std::uint32_t value =
      magnitude < 0x400U ? subnormal : (magnitude >= 0x7c00U ? infinite_or_nan : normal);
  return std::bit_cast<float>(sign | value);
}

std::uint16_t f32_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7fffffffU;
  // Normal numbers: round the mantissa to 10 bits; a carry goes on into the exponent.
  const std::uint32_t rounded = (magnitude + 0xfffU + ((magnitude >> 13) & 1U)) >> 13;
  const std::uint32_t normal = rounded - (112U << 10);
  // Subnormal numbers: adding 0.5 leaves the multiple of 2^-24 in the low bits, rounded to even.
  const std::uint32_t subnormal =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) -
      std::bit_cast<std::uint32_t>(0.5F);
  const std::uint32_t finite = magnitude < (113U << 23) ? subnormal : normal;
  const std::uint32_t limited = finite > 0x7c00U ? 0x7c00U : finite;
  const bool too_large = magnitude >= (143U << 23);
  const bool is_nan = magnitude > 0x7f800000U;
  const std::uint32_t result = is_nan ? 0x7e00U : (too_large ? 0x7c00U : limited);
  return static_cast<std::uint16_t>(sign | result);
}

namespace {

// The source may be unaligned: blocks are copied into aligned memory first.
constexpr std::int64_t block_values = 512;

template <typename Convert>
void convert_block_to_f32(const std::byte* source, std::int64_t count, float* target,
                          Convert convert) {
  alignas(64) std::uint16_t block[block_values];
  for (std::int64_t done = 0; done < count; done += block_values) {
    const std::int64_t n = count - done < block_values ? count - done : block_values;
    std::memcpy(block, source + 2 * done, static_cast<std::size_t>(2 * n));
    for (std::int64_t i = 0; i < n; ++i) target[done + i] = convert(block[i]);
  }
}

template <typename Convert>
void convert_block_from_f32(const float* source, std::int64_t count, std::byte* target,
                            Convert convert) {
  alignas(64) std::uint16_t block[block_values];
  for (std::int64_t done = 0; done < count; done += block_values) {
    const std::int64_t n = count - done < block_values ? count - done : block_values;
    for (std::int64_t i = 0; i < n; ++i) block[i] = convert(source[done + i]);
    std::memcpy(target + 2 * done, block, static_cast<std::size_t>(2 * n));
  }
}

}  // namespace

void convert_to_f32(const std::byte* source, Dtype dtype, std::int64_t count, float* target) {
  switch (dtype) {
    case Dtype::f32:
      if (count > 0) std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case Dtype::bf16:
      return convert_block_to_f32(source, count, target,
                                  [](std::uint16_t bits) { return bf16_to_f32(bits); });
    case Dtype::f16:
      return convert_block_to_f32(source, count, target,
                                  [](std::uint16_t bits) { return f16_to_f32(bits); });
    case Dtype::i32:
      break;
  }
  fail(ErrorKind::internal, "convert_to_f32: expected a float dtype, got {}", name_of(dtype));
}

void convert_from_f32(const float* source, std::int64_t count, Dtype dtype, std::byte* target) {
  switch (dtype) {
    case Dtype::f32:
      if (count > 0) std::memcpy(target, source, static_cast<std::size_t>(count) * sizeof(float));
      return;
    case Dtype::bf16:
      return convert_block_from_f32(source, count, target,
                                    [](float value) { return f32_to_bf16(value); });
    case Dtype::f16:
      return convert_block_from_f32(source, count, target,
                                    [](float value) { return f32_to_f16(value); });
    case Dtype::i32:
      break;
  }
  fail(ErrorKind::internal, "convert_from_f32: expected a float dtype, got {}", name_of(dtype));
}

namespace {

/// In squares, so that what a cache line holds of source and target is used while it is there.
template <std::size_t bytes>
void transpose_values(const std::byte* source, std::int64_t rows, std::int64_t columns,
                      std::byte* target) {
  constexpr std::int64_t square = 32;
  for (std::int64_t row = 0; row < rows; row += square) {
    for (std::int64_t column = 0; column < columns; column += square) {
      for (std::int64_t i = row; i < std::min(row + square, rows); ++i) {
        for (std::int64_t j = column; j < std::min(column + square, columns); ++j) {
          std::memcpy(target + static_cast<std::size_t>(j * rows + i) * bytes,
                      source + static_cast<std::size_t>(i * columns + j) * bytes, bytes);
        }
      }
    }
  }
}

}  // namespace

void transpose(const std::byte* source, const Shape& shape, std::size_t value_bytes,
               std::byte* target) {
  if (shape.rank != 2 || (value_bytes != 2 && value_bytes != 4)) {
    fail(ErrorKind::internal, "transpose: {} of {} bytes a value", to_string(shape), value_bytes);
  }
  const auto copy = value_bytes == 2 ? transpose_values<2> : transpose_values<4>;
  copy(source, shape[0], shape[1], target);
}

}  // namespace gist
