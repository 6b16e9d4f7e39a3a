#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class Sample : public testing::Test {
 protected:
  Integers sample(const Floats& logits, std::int64_t rows, const SamplingOptions& options,
                  const Floats& uniform) {
    const auto vocabulary = static_cast<std::int64_t>(logits.size()) / rows;
    const Tensor ids = arrays_.empty(Dtype::i32, {rows});
    backend_->run(ops::Sample{.logits = arrays_.of({rows, vocabulary}, logits),
                              .options = options,
                              .uniform = arrays_.of({rows}, uniform),
                              .ids = ids});
    return arrays_.integers(ids);
  }
  std::int32_t sample_one(const Floats& logits, const SamplingOptions& options, float uniform) {
    return sample(logits, 1, options, {uniform})[0];
  }

  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
};

TEST_F(Sample, WithoutTemperatureTakesTheFirstOfTheLargest) {
  EXPECT_EQ(sample_one({1, 3, 3, 2}, {}, 0.9F), 1);
}

TEST_F(Sample, NeverTakesTheBannedId) {
  EXPECT_EQ(sample_one({1, 3, 3, 2}, {.banned = 1}, 0), 2);
  for (const float uniform : {0.0F, 0.3F, 0.6F, 0.99999F}) {
    EXPECT_NE(sample_one({1, 9, 1, 2}, {.temperature = 1, .banned = 1}, uniform), 1);
  }
}

TEST_F(Sample, TakesTheSmallestRankWhoseCumulativeProbabilityExceedsTheDraw) {
  // Probabilities 0.2, 0.5, 0.3: in falling order the ids 1, 2, 0 with sums 0.5, 0.8, 1.
  const Floats logits = {std::log(0.2F), std::log(0.5F), std::log(0.3F)};
  const SamplingOptions options{.temperature = 1};
  EXPECT_EQ(sample_one(logits, options, 0), 1);
  EXPECT_EQ(sample_one(logits, options, 0.49F), 1);
  EXPECT_EQ(sample_one(logits, options, 0.51F), 2);
  EXPECT_EQ(sample_one(logits, options, 0.79F), 2);
  EXPECT_EQ(sample_one(logits, options, 0.81F), 0);
  EXPECT_EQ(sample_one(logits, options, std::nextafter(1.0F, 0.0F)), 0);
}

TEST_F(Sample, OrdersTiesById) {
  const Floats logits(8, 1.0F);
  for (std::int32_t id = 0; id < 8; ++id) {
    EXPECT_EQ(sample_one(logits, {.temperature = 1}, (static_cast<float>(id) + 0.5F) / 8), id);
  }
}

TEST_F(Sample, TopKAndTopPKeepTheLikeliest) {
  const Floats logits = {std::log(0.1F), std::log(0.4F), std::log(0.2F), std::log(0.3F)};
  const float almost_one = std::nextafter(1.0F, 0.0F);
  EXPECT_EQ(sample_one(logits, {.temperature = 1, .top_k = 1}, almost_one), 1);
  EXPECT_EQ(sample_one(logits, {.temperature = 1, .top_k = 3}, almost_one), 2);
  EXPECT_EQ(sample_one(logits, {.temperature = 1, .top_p = 0.39F}, almost_one), 1);
  EXPECT_EQ(sample_one(logits, {.temperature = 1, .top_p = 0.69F}, almost_one), 3);
  // The first of the two that top_k leaves, 4/7 and 3/7, is enough.
  EXPECT_EQ(sample_one(logits, {.temperature = 1, .top_k = 2, .top_p = 0.5F}, almost_one), 1);
}

TEST_F(Sample, EqualsSortingEverything) {
  constexpr std::int64_t rows = 40, vocabulary = 3000;
  Random random(1);
  Floats logits = random.floats(rows * vocabulary, 3);
  for (std::size_t i = 0; i < logits.size(); i += 3) logits[i] = std::round(logits[i]);  // ties
  Floats uniform;
  for (std::int64_t i = 0; i < rows; ++i) {
    uniform.push_back(static_cast<float>(random.below(1 << 20)) / (1 << 20));
  }
  for (const SamplingOptions& options :
       {SamplingOptions{.banned = 7}, SamplingOptions{.temperature = 1, .banned = 7},
        SamplingOptions{.banned = 5, .banned_count = 40},
        SamplingOptions{.temperature = 1, .banned = 2990, .banned_count = 64},
        SamplingOptions{.temperature = 0.5F, .top_p = 0.9F},
        SamplingOptions{.temperature = 5, .top_k = 500},
        SamplingOptions{.temperature = 2, .top_k = 2000, .top_p = 0.95F, .banned = 2999},
        SamplingOptions{.temperature = 1e-3F}, SamplingOptions{.temperature = 1, .top_k = 9999}}) {
    const Integers ids = sample(logits, rows, options, uniform);
    for (std::size_t i = 0; i < rows; ++i) {
      const Floats row(logits.begin() + static_cast<std::ptrdiff_t>(i * vocabulary),
                       logits.begin() + static_cast<std::ptrdiff_t>((i + 1) * vocabulary));
      EXPECT_EQ(ids[i], sample_oracle(row, options, uniform[i]))
          << "temperature " << options.temperature << ", row " << i;
    }
  }
}

TEST_F(Sample, TakesNoneOfLogitsThatAreNotFinite) {
  constexpr std::int64_t vocabulary = 1500;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          -std::numeric_limits<float>::quiet_NaN(), infinity, -infinity}) {
    for (const std::size_t place : {0, 700, 1499}) {
      Floats logits(2 * vocabulary, 1);
      logits[place] = bad;
      for (const SamplingOptions& options :
           {SamplingOptions{.banned = 700}, SamplingOptions{.temperature = 1},
            SamplingOptions{.temperature = 1, .top_k = 5, .top_p = 0.9F}}) {
        EXPECT_EQ(sample(logits, 2, options, {0.5F, 0}), (Integers{-1, 0})) << bad << place;
      }
    }
  }
}

TEST_F(Sample, RefusesOptionsThatMeanNothing) {
  EXPECT_THROW(sample_one({1, 2}, {.temperature = -1}, 0), Error);
  EXPECT_THROW(sample_one({1, 2}, {.temperature = 1, .top_k = -1}, 0), Error);
  EXPECT_THROW(sample_one({1, 2}, {.temperature = 1, .top_p = 0}, 0), Error);
  EXPECT_THROW(sample_one({1}, {.banned = 0}, 0), Error);
  EXPECT_THROW(sample_one({1, 2}, {.banned = 0, .banned_count = 2}, 0), Error);
  EXPECT_THROW(sample_one({1, 2}, {.banned = 0, .banned_count = 0}, 0), Error);
}

}  // namespace
}  // namespace gist::test
