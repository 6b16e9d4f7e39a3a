#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/random.h"

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

// --- draw_normal ---

std::vector<float> normal(std::uint64_t seed, const char* name, float std, std::size_t count) {
  std::vector<float> values(count, 99.0F);
  draw_normal(seed, name, std, values);
  return values;
}

TEST(DrawnGistTokens, EachNumberOfTheRangeIsAsLikely) {
  std::array<int, 9> times{};
  for (std::uint64_t ordinal = 0; ordinal < 400; ++ordinal) {
    for (std::uint32_t step = 0; step < 20; ++step) {
      const std::int32_t k = drawn_gist_tokens(3, ordinal, step, 1, 8);
      ASSERT_TRUE(1 <= k && k <= 8);
      ++times[static_cast<std::size_t>(k)];
    }
  }
  // 8,000 draws: a deviation of 30 each, so that 150 is five of them.
  for (std::size_t k = 1; k <= 8; ++k) EXPECT_NEAR(times[k], 1000, 150) << k;
}

TEST(DrawnGistTokens, DependsOnSeedOrdinalAndStep) {
  const auto draws = [](std::uint64_t seed, std::uint64_t ordinal, std::uint32_t first_step) {
    std::vector<std::int32_t> result;
    for (std::uint32_t i = 0; i < 32; ++i) {
      result.push_back(drawn_gist_tokens(seed, ordinal, first_step + i, 2, 9));
    }
    return result;
  };
  EXPECT_EQ(draws(1, 5, 0), draws(1, 5, 0));
  EXPECT_NE(draws(1, 5, 0), draws(2, 5, 0));
  EXPECT_NE(draws(1, 5, 0), draws(1, 6, 0));
  EXPECT_NE(draws(1, 5, 0), draws(1, 5, 100));
  EXPECT_EQ(drawn_gist_tokens(1, 2, 3, 4, 4), 4);
}

TEST(DrawNormal, HasTheMomentsOfANormalDistribution) {
  constexpr std::size_t n = 200'000;
  double sum = 0, squares = 0, fourth = 0;
  int beyond = 0;  // two deviations
  for (const float value : normal(1, "w", 0.5F, n)) {
    sum += value;
    squares += std::pow(value, 2);
    fourth += std::pow(value, 4);
    beyond += std::abs(value) > 1 ? 1 : 0;
  }
  EXPECT_NEAR(sum / n, 0, 5 * 0.5 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 0.25, 5 * 0.25 * std::sqrt(2.0 / n));
  EXPECT_NEAR(fourth / n, 3 * 0.0625, 5 * 0.0625 * std::sqrt(96.0 / n));
  EXPECT_NEAR(beyond / static_cast<double>(n), 0.0455, 5 * std::sqrt(0.0455 / n));
}

TEST(DrawNormal, NeighboursAreIndependent) {
  constexpr std::size_t n = 100'000;
  const auto values = normal(1, "w", 1, n);
  for (const std::size_t distance : {1, 2}) {
    double products = 0;
    for (std::size_t i = distance; i < n; ++i) products += values[i] * values[i - distance];
    EXPECT_NEAR(products / n, 0, 5 / std::sqrt(n)) << distance;
  }
}

TEST(DrawNormal, DependsOnSeedNameAndPlace) {
  const auto values = normal(1, "w", 1, 7);
  EXPECT_EQ(normal(1, "w", 1, 7), values);
  EXPECT_NE(normal(2, "w", 1, 7), values);
  EXPECT_NE(normal(1, "v", 1, 7), values);
  EXPECT_EQ(std::vector<float>(values.begin(), values.begin() + 4), normal(1, "w", 1, 4));
  EXPECT_EQ(normal(1, "w", 0, 7), std::vector<float>(7));
}

// --- shuffled ---

TEST(Shuffled, IsAPermutation) {
  for (const std::uint32_t n : {0U, 1U, 2U, 1000U}) {
    auto order = shuffled(1, 0, n);
    std::sort(order.begin(), order.end());
    std::vector<std::uint32_t> all(n);
    std::iota(all.begin(), all.end(), 0);
    EXPECT_EQ(order, all);
  }
}

TEST(Shuffled, DependsOnSeedAndEpoch) {
  const auto order = shuffled(1, 0, 100);
  EXPECT_EQ(shuffled(1, 0, 100), order);
  EXPECT_NE(shuffled(1, 1, 100), order);
  EXPECT_NE(shuffled(2, 0, 100), order);
}

TEST(Shuffled, PutsEachPlaceAnywhereEquallyOften) {
  constexpr std::uint32_t n = 6;
  constexpr int rounds = 6000;
  std::array<std::array<int, n>, n> counts{};
  for (int epoch = 0; epoch < rounds; ++epoch) {
    const auto order = shuffled(3, static_cast<std::uint64_t>(epoch), n);
    for (std::uint32_t i = 0; i < n; ++i) ++counts[i][order[i]];
  }
  for (const auto& row : counts) {
    for (const int count : row) EXPECT_NEAR(count, rounds / n, 5 * std::sqrt(rounds / n));
  }
}

}  // namespace
}  // namespace gist
