#include "formats/gguf/gguf_types.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace gist {
namespace {

constexpr std::size_t small_block = 32;   // values
constexpr std::size_t large_block = 256;  // values, of the types whose names end with K

std::uint8_t byte_at(const std::byte* bytes, std::size_t at) {
  return std::to_integer<std::uint8_t>(bytes[at]);
}

float signed_byte_at(const std::byte* bytes, std::size_t at) {
  return static_cast<float>(static_cast<std::int8_t>(byte_at(bytes, at)));
}

float half_at(const std::byte* bytes) {
  std::uint16_t bits = 0;
  std::memcpy(&bits, bytes, sizeof bits);
  return f16_to_f32(bits);
}

/// Bytes whose low halves are the first values, and whose high ones are as many that follow.
void unpack_halves(const std::byte* packed, std::size_t count, float* values) {
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = static_cast<float>(byte_at(packed, i) & 0xFU);
    values[count + i] = static_cast<float>(byte_at(packed, i) >> 4U);
  }
}

/// scale [half], 32 signed bytes
void dequantise_q8_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  for (std::size_t i = 0; i < small_block; ++i) values[i] = signed_byte_at(block + 2, i) * scale;
}

/// scale [half], 32 numbers of 4 bits, 8 too large
void dequantise_q4_0(const std::byte* block, float* values) {
  const float scale = half_at(block);
  unpack_halves(block + 2, small_block / 2, values);
  for (std::size_t i = 0; i < small_block; ++i) values[i] = scale * (values[i] - 8);
}

/// scale, least [halves], 32 numbers of 4 bits
void dequantise_q4_1(const std::byte* block, float* values) {
  const float scale = half_at(block), least = half_at(block + 2);
  unpack_halves(block + 4, small_block / 2, values);
  for (std::size_t i = 0; i < small_block; ++i) {
    values[i] = scale * values[i] + least;  // the product, of 15 bits, is exact
  }
}

/// scale, scale of the least [halves], 8 scales and 8 least of 6 bits each in 12 bytes, 256 numbers
/// of 4 bits
void dequantise_q4_k(const std::byte* block, float* values) {
  const float scale = half_at(block), least_scale = half_at(block + 2);
  const std::byte* packed = block + 4;
  for (std::size_t part = 0; part < 8; ++part) {
    // Parts 0 to 3 have theirs in the low six bits of bytes 0 to 7; of parts 4 to 7 four bits stand
    // in bytes 8 to 11, the other two above those six.
    const std::size_t low = part % 4;
    unsigned own = byte_at(packed, low) & 0x3FU, least = byte_at(packed, 4 + low) & 0x3FU;
    if (part >= 4) {
      own = (byte_at(packed, 8 + low) & 0xFU) | (byte_at(packed, low) >> 6U) << 4U;
      least = static_cast<unsigned>(byte_at(packed, 8 + low) >> 4U) |
              (byte_at(packed, 4 + low) >> 6U) << 4U;
    }
    const float part_scale = scale * static_cast<float>(own);
    const float part_least = least_scale * static_cast<float>(least);
    const std::byte* numbers = block + 16 + part / 2 * 32;
    for (std::size_t i = 0; i < 32; ++i) {
      const unsigned both = byte_at(numbers, i);
      const auto number = static_cast<float>(part % 2 == 0 ? both & 0xFU : both >> 4U);
      values[part * 32 + i] = part_scale * number - part_least;  // exact but for the difference
    }
  }
}

/// 256 times the low 4 bits (128 bytes), 256 times the high 2 bits (64), 16 signed scales (16),
/// scale [half]; numbers are 32 too large
void dequantise_q6_k(const std::byte* block, float* values) {
  const std::byte* scales = block + 192;
  const float scale = half_at(block + 208);
  for (std::size_t i = 0; i < large_block; ++i) {
    // Both halves of 128 values: four rows of 32, of which the low bits stand two and two in 64
    // bytes, and the high ones of all four in 32.
    const std::size_t half = i / 128, row = i % 128 / 32, column = i % 32;
    const unsigned low = byte_at(block, half * 64 + row % 2 * 32 + column) >> (row / 2 * 4);
    const unsigned high = byte_at(block + 128, half * 32 + column) >> (row * 2);
    const int number = static_cast<int>((low & 0xFU) | (high & 3U) << 4U) - 32;
    const float part_scale = scale * signed_byte_at(scales, i / 16);
    values[i] = part_scale * static_cast<float>(number);
  }
}

constexpr std::array readable_types = std::to_array<GgufTensorType>({
    {0, "F32", 1, 4, nullptr, Dtype::f32},
    {1, "F16", 1, 2, nullptr, Dtype::f16},
    {2, "Q4_0", small_block, 18, dequantise_q4_0},
    {3, "Q4_1", small_block, 20, dequantise_q4_1},
    {8, "Q8_0", small_block, 34, dequantise_q8_0},
    {12, "Q4_K", large_block, 144, dequantise_q4_k},
    {14, "Q6_K", large_block, 210, dequantise_q6_k},
    {30, "BF16", 1, 2, nullptr, Dtype::bf16},
});

struct NumberedName {
  std::uint32_t number;
  std::string_view name;
};
constexpr std::array unread_types = std::to_array<NumberedName>({
    {6, "Q5_0"},   {7, "Q5_1"},     {9, "Q8_1"},    {10, "Q2_K"},    {11, "Q3_K"},  {13, "Q5_K"},
    {15, "Q8_K"},  {16, "IQ2_XXS"}, {17, "IQ2_XS"}, {18, "IQ3_XXS"}, {19, "IQ1_S"}, {20, "IQ4_NL"},
    {21, "IQ3_S"}, {22, "IQ2_S"},   {23, "IQ4_XS"}, {24, "I8"},      {25, "I16"},   {26, "I32"},
    {27, "I64"},   {28, "F64"},     {29, "IQ1_M"},  {34, "TQ1_0"},   {35, "TQ2_0"}, {39, "MXFP4"},
    {40, "NVFP4"}, {41, "Q1_0"},
});

}  // namespace

const GgufTensorType* gguf_tensor_type(std::uint32_t number) {
  const auto* const found = std::find_if(readable_types.begin(), readable_types.end(),
                                         [=](const auto& type) { return type.number == number; });
  return found == readable_types.end() ? nullptr : found;
}

std::string_view name_of_unread_gguf_type(std::uint32_t number) {
  const auto* const found = std::find_if(unread_types.begin(), unread_types.end(),
                                         [=](const auto& type) { return type.number == number; });
  return found == unread_types.end() ? std::string_view() : found->name;
}

void gguf_values(const GgufTensorType& type, std::span<const std::byte> bytes, float* values) {
  const std::size_t blocks = bytes.size() / type.bytes;
  if (type.dequantise == nullptr) {
    convert_to_f32(bytes.data(), type.dtype, static_cast<std::int64_t>(blocks), values);
    return;
  }
  for (std::size_t at = 0; at < blocks; ++at) {
    type.dequantise(bytes.data() + at * type.bytes, values + at * type.values);
  }
}

}  // namespace gist
