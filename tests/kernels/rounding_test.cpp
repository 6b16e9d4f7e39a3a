#include "kernels/cpu/rounding.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/tensor.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

TEST(Rounding, OfManyValuesIsThatOfEach) {
  using Limits = std::numeric_limits<float>;
  std::vector<float> values{0.0F,
                            -0.0F,
                            Limits::max(),
                            -Limits::max(),
                            Limits::min(),
                            1e-40F,
                            Limits::infinity(),
                            -Limits::infinity(),
                            Limits::quiet_NaN()};
  // The middle, to even and to odd; NaNs whose payload rounding would carry away.
  for (const std::uint32_t bits : {0x3f808000U, 0x3f818000U, 0x3f808001U, 0x7fffffffU, 0xffffffffU,
                                   0x7f800001U, 0xff800001U}) {
    values.push_back(std::bit_cast<float>(bits));
  }
  Random random(1);
  for (const float value : random.floats(53)) values.push_back(value);
  // Each value once in each lane, whole vectors and rests.
  for (std::size_t begin = 0; begin < values.size(); ++begin) {
    std::vector<std::uint16_t> found(values.size() - begin, 0xabcd), expected;
    for (std::size_t i = begin; i < values.size(); ++i) expected.push_back(f32_to_bf16(values[i]));
    cpu::round_to_bf16(values.data() + begin, static_cast<std::int64_t>(found.size()),
                       found.data());
    ASSERT_EQ(found, expected) << begin;
  }
}

}  // namespace
}  // namespace gist::test
