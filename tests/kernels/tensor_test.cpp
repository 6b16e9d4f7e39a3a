#include "kernels/tensor.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "kernels/error.h"

namespace gist {
namespace {

TEST(Shape, HasTheProductOfItsDimensionsAsElements) {
  EXPECT_EQ((Shape{2, 3, 4}).elements(), 24);
  EXPECT_EQ((Shape{5, 0}).elements(), 0);
  EXPECT_EQ(Shape{}.elements(), 1);
  EXPECT_EQ(to_string(Shape{2, 3}), "[2, 3]");
}

TEST(Shape, EqualsOnlyTheSameRankAndDimensions) {
  EXPECT_EQ((Shape{2, 3}), (Shape{2, 3}));
  EXPECT_FALSE((Shape{2, 3}) == (Shape{3, 2}));
  EXPECT_FALSE((Shape{2}) == (Shape{2, 1}));
}

TEST(Shape, RefusesFiveDimensionsAndNegativeOnes) {
  EXPECT_THROW((Shape{1, 1, 1, 1, 1}), Error);
  EXPECT_THROW((Shape{2, -1}), Error);
}

TEST(Dtype, IsFoundByItsName) {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16, Dtype::i32}) {
    EXPECT_EQ(dtype_named(name_of(dtype)), dtype);
  }
  EXPECT_EQ(dtype_named("f64"), std::nullopt);
}

TEST(Tensor, RowsAreAViewOfTheOutermostDimension) {
  std::vector<float> memory(12);
  const Tensor tensor{memory.data(), Dtype::f32, {4, 3}};
  const Tensor rows = tensor.rows(1, 3);
  EXPECT_EQ(rows.data, memory.data() + 3);
  EXPECT_EQ(rows.shape, (Shape{2, 3}));
  EXPECT_EQ(tensor.rows(4, 4).shape.elements(), 0);
  EXPECT_THROW(tensor.rows(2, 5), Error);
  EXPECT_THROW(tensor.rows(3, 2), Error);
}

TEST(Tensor, CanOnlyBeReshapedToAsManyElements) {
  std::vector<float> memory(12);
  const Tensor tensor{memory.data(), Dtype::f32, {4, 3}};
  EXPECT_EQ(tensor.reshaped({2, 6}).shape, (Shape{2, 6}));
  EXPECT_THROW(tensor.reshaped({5, 2}), Error);
}

/// The definition of binary16.
double f16_value(std::uint16_t bits) {
  const int exponent = bits >> 10 & 0x1f;
  const double mantissa = bits & 0x3ff;
  const double sign = (bits & 0x8000) != 0 ? -1 : 1;
  if (exponent == 31) {
    return mantissa != 0 ? std::nan("") : sign * std::numeric_limits<double>::infinity();
  }
  return exponent == 0 ? sign * std::ldexp(mantissa, -24)
                       : sign * std::ldexp(1024 + mantissa, exponent - 25);
}

TEST(Conversion, F16ToF32IsExactForAllValues) {
  for (std::uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const double expected = f16_value(half);
    const float value = f16_to_f32(half);
    if (std::isnan(expected)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
    } else {
      EXPECT_EQ(value, expected) << bits;
      EXPECT_EQ(std::signbit(value), (bits & 0x8000) != 0) << bits;
      EXPECT_EQ(f32_to_f16(value), half) << bits;
    }
  }
}

TEST(Conversion, F32ToF16RoundsToNearestEven) {
  // Values between each pair of neighbours are tried: the middle goes to the even one, a little
  // more or less does not.
  for (std::uint16_t bits = 0; bits < 0x7bff; ++bits) {
    const float low = f16_to_f32(bits);
    const float high = f16_to_f32(static_cast<std::uint16_t>(bits + 1));
    const float middle = low + (high - low) / 2;
    EXPECT_EQ(f32_to_f16(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, high)), bits + 1) << bits;
    EXPECT_EQ(f32_to_f16(std::nextafter(middle, low)), bits) << bits;
  }
}

TEST(Conversion, F16OverflowGivesInfinityAndNanStaysNan) {
  EXPECT_EQ(f32_to_f16(65504.0F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65519.99F), 0x7bff);
  EXPECT_EQ(f32_to_f16(65520.0F), 0x7c00);
  EXPECT_EQ(f32_to_f16(-1e30F), 0xfc00);
  EXPECT_EQ(f32_to_f16(std::numeric_limits<float>::infinity()), 0x7c00);
  EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(std::nanf("")))));
}

TEST(Conversion, Bf16RoundsToNearestEven) {
  EXPECT_EQ(f32_to_bf16(1.0F), 0x3f80);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808000U)), 0x3f80);  // the middle, to even
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f818000U)), 0x3f82);
  EXPECT_EQ(f32_to_bf16(std::bit_cast<float>(0x3f808001U)), 0x3f81);
  EXPECT_EQ(f32_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::bit_cast<float>(0x7fffffffU)))));
}

TEST(Conversion, InBulkEqualsOneByOneFromUnalignedMemory) {
  constexpr std::int64_t count = 1500;  // several blocks and a tail
  for (const Dtype dtype : {Dtype::bf16, Dtype::f16}) {
    std::vector<std::byte> memory(2 * count + 1);
    std::byte* unaligned = memory.data() + 1;
    for (std::int64_t i = 0; i < count; ++i) {
      const auto bits = static_cast<std::uint16_t>(i * 20);  // no infinity, no NaN
      std::memcpy(unaligned + 2 * i, &bits, 2);
    }
    std::vector<float> values(count);
    convert_to_f32(unaligned, dtype, count, values.data());
    for (std::int64_t i = 0; i < count; ++i) {
      const auto bits = static_cast<std::uint16_t>(i * 20);
      EXPECT_EQ(values[static_cast<std::size_t>(i)],
                dtype == Dtype::bf16 ? bf16_to_f32(bits) : f16_to_f32(bits));
    }
    std::vector<std::byte> back(memory.size());
    convert_from_f32(values.data(), count, dtype, back.data() + 1);
    EXPECT_TRUE(std::equal(back.begin() + 1, back.end(), memory.begin() + 1));
  }
}

TEST(Transpose, ExchangesRowsAndColumnsOfAnyWidth) {
  for (const auto& [rows, columns] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 70}, {64, 32}, {33, 65}, {0, 5}}) {
    for (const std::size_t bytes : {std::size_t{2}, std::size_t{4}}) {
      std::vector<std::byte> source(static_cast<std::size_t>(rows * columns) * bytes + 1);
      for (std::size_t i = 0; i < source.size(); ++i) source[i] = std::byte(i * 7 % 251);
      std::vector<std::byte> target(source.size() - 1);
      const std::byte* const unaligned = source.data() + 1;
      transpose(unaligned, {rows, columns}, bytes, target.data());
      for (std::int64_t i = 0; i < rows; ++i) {
        for (std::int64_t j = 0; j < columns; ++j) {
          const std::byte* from = unaligned + static_cast<std::size_t>(i * columns + j) * bytes;
          const std::byte* to = target.data() + static_cast<std::size_t>(j * rows + i) * bytes;
          ASSERT_TRUE(std::equal(from, from + bytes, to)) << rows << " x " << columns;
        }
      }
    }
  }
  EXPECT_THROW(transpose(nullptr, {2, 3}, 8, nullptr), Error);
}

TEST(Conversion, RefusesIntegers) {
  float value = 0;
  std::byte bytes[4];
  EXPECT_THROW(convert_to_f32(bytes, Dtype::i32, 1, &value), Error);
  EXPECT_THROW(convert_from_f32(&value, 1, Dtype::i32, bytes), Error);
}

}  // namespace
}  // namespace gist
