#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "core/generate.h"

namespace gist {
namespace {

using Counter = std::array<std::uint32_t, 4>;
using Key = std::array<std::uint32_t, 2>;

/// Philox 4x32-10, after the paper's listing (Salmon et al. 2011, figure 3).
Counter philox(Counter counter, Key key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53} * counter[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<std::uint32_t>(right >> 32) ^ counter[1] ^ key[0],
               static_cast<std::uint32_t>(right),
               static_cast<std::uint32_t>(left >> 32) ^ counter[3] ^ key[1],
               static_cast<std::uint32_t>(left)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

TEST(UniformDraw, OracleGivesRandom123sKnownAnswers) {
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({~0U, ~0U, ~0U, ~0U}, {~0U, ~0U}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(UniformDraw, IsTheFirstWordOfPhiloxWithOrdinalAndStepAsCounterAndSeedAsKey) {
  EXPECT_EQ(uniform_draw(0, 0, 0), static_cast<float>(0x6627e8) * 0x1p-24F);
  const std::uint64_t values[] = {0, 1, 0xffffffff, 0x123456789abcdef0};
  for (const std::uint64_t seed : values) {
    for (const std::uint64_t ordinal : values) {
      for (const std::uint32_t step : {0U, 1U, 77U}) {
        const Counter words =
            philox({static_cast<std::uint32_t>(ordinal), static_cast<std::uint32_t>(ordinal >> 32),
                    step, 0},
                   {static_cast<std::uint32_t>(seed), static_cast<std::uint32_t>(seed >> 32)});
        EXPECT_EQ(uniform_draw(seed, ordinal, step), static_cast<float>(words[0] >> 8) * 0x1p-24F);
      }
    }
  }
}

TEST(UniformDraw, IsUniformBelowOne) {
  constexpr int draws = 100000;
  constexpr int bins = 20;
  std::array<int, bins> counts{};
  for (std::uint32_t i = 0; i < draws; ++i) {
    const float draw = uniform_draw(5, i / 100, i % 100);
    ASSERT_GE(draw, 0);
    ASSERT_LT(draw, 1);
    ++counts[static_cast<std::size_t>(draw * bins)];
  }
  for (const int count : counts) {
    EXPECT_NEAR(count, draws / bins, 5 * std::sqrt(draws / bins));
  }
}

}  // namespace
}  // namespace gist
