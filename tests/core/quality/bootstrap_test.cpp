#include "core/quality/bootstrap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "kernels/error.h"
#include "tests/core/quality/golden.h"

namespace gist {
namespace {

using Values = std::vector<double>;

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

Values uniform_values(std::size_t count, std::uint32_t seed) {
  std::mt19937 random(seed);
  Values values(count);
  for (double& value : values) value = static_cast<double>(random()) * 0x1p-32;
  return values;
}

void expect_equal(const ConfidenceInterval& a, const ConfidenceInterval& b) {
  EXPECT_DOUBLE_EQ(a.value, b.value);
  EXPECT_DOUBLE_EQ(a.low, b.low);
  EXPECT_DOUBLE_EQ(a.mid, b.mid);
  EXPECT_DOUBLE_EQ(a.high, b.high);
}

TEST(Quantile, EqualsNumpys) {
  for (const auto& row : golden("quantiles")) {
    const Values values = row.at(0);
    EXPECT_DOUBLE_EQ(quantile(values, row.at(1)), row.at(2).get<double>()) << row;
  }
}

TEST(BootstrapMean, OfEqualValuesIsThatValue) {
  expect_equal(bootstrap_mean(Values(9, 0.25), {}), {0.25, 0.25, 0.25, 0.25, 0});
  expect_equal(bootstrap_mean(Values{3}, {.resamples = 1}), {3, 3, 3, 3, 0});
}

TEST(BootstrapMean, HasTheEndsOfANormalDistributionForManyRecords) {
  const std::size_t n = 2000;
  const ConfidenceInterval interval = bootstrap_mean(uniform_values(n, 1), {.resamples = 20'000});
  const double deviation = std::sqrt(1.0 / 12 / n);  // of the mean
  EXPECT_NEAR(interval.mid, interval.value, 0.05 * deviation);
  EXPECT_NEAR(interval.low, interval.value - 1.96 * deviation, 0.1 * deviation);
  EXPECT_NEAR(interval.high, interval.value + 1.96 * deviation, 0.1 * deviation);
  EXPECT_EQ(interval.left_out, 0);
}

TEST(BootstrapMean, DrawsEachRecordEquallyOften) {
  // If one record is 1 and the others are 0, n times the mean is how often it was drawn: 1 on
  // average.
  for (const std::size_t n : {2, 3, 5, 8}) {
    for (std::size_t one = 0; one < n; ++one) {
      Values values(n);
      values[one] = 1;
      double sum = 0;
      for (std::uint64_t seed = 0; seed < 4000; ++seed) {
        sum += static_cast<double>(n) * bootstrap_mean(values, {.resamples = 1, .seed = seed}).mid;
      }
      EXPECT_NEAR(sum / 4000, 1, 5 / std::sqrt(4000)) << n << ' ' << one;
    }
  }
}

TEST(BootstrapMean, DependsOnTheSeedAlone) {
  const Values values = uniform_values(50, 1);
  const ConfidenceInterval interval = bootstrap_mean(values, {.seed = 1});
  expect_equal(bootstrap_mean(values, {.seed = 1}), interval);
  EXPECT_NE(bootstrap_mean(values, {.seed = 2}).low, interval.low);
}

TEST(BootstrapMean, WiderConfidenceIsAWiderInterval) {
  const Values values = uniform_values(50, 1);
  const ConfidenceInterval wide = bootstrap_mean(values, {.confidence = 0.99});
  const ConfidenceInterval narrow = bootstrap_mean(values, {.confidence = 0.5});
  const ConfidenceInterval none = bootstrap_mean(values, {.confidence = 0});
  EXPECT_LT(wide.low, narrow.low);
  EXPECT_GT(wide.high, narrow.high);
  EXPECT_EQ(none.low, none.high);
}

TEST(BootstrapMeans, AreThoseOfEachMeasureAlone) {
  const Values a = uniform_values(30, 1);
  const Values b = uniform_values(30, 2);
  const std::span<const double> measures[] = {a, b};
  const auto intervals = bootstrap_means(measures, {.seed = 5});
  ASSERT_EQ(intervals.size(), 2);
  expect_equal(intervals[0], bootstrap_mean(a, {.seed = 5}));
  expect_equal(intervals[1], bootstrap_mean(b, {.seed = 5}));
  EXPECT_TRUE(bootstrap_means({}, {}).empty());
}

TEST(BootstrapRatio, WithEqualWeightsIsTheMean) {
  const Values values = uniform_values(40, 3);
  const Values ones(40, 1);
  expect_equal(bootstrap_ratio({values, ones}, {}), bootstrap_mean(values, {}));
  expect_equal(bootstrap_ratio({values, {}}, {}), bootstrap_mean(values, {}));
}

TEST(BootstrapRatio, IsOfSumsNotOfRatios) {
  const Values sums{1, 30};
  const Values weights{1, 10};
  const ConfidenceInterval interval = bootstrap_ratio({sums, weights}, {});
  EXPECT_DOUBLE_EQ(interval.value, 31.0 / 11);
  EXPECT_DOUBLE_EQ(interval.low, 1);  // the first record twice: a quarter of resamples
  EXPECT_DOUBLE_EQ(interval.mid, 31.0 / 11);
  EXPECT_DOUBLE_EQ(interval.high, 3);
}

TEST(BootstrapRatio, LeavesOutResamplesWithoutWeight) {
  const Values sums{2, 0};
  const Values weights{4, 0};
  const ConfidenceInterval interval = bootstrap_ratio({sums, weights}, {});
  expect_equal(interval, {0.5, 0.5, 0.5, 0.5, 0});
  EXPECT_NEAR(interval.left_out, 250, 70);  // those that draw the second record twice

  const Values none{0, 0};
  const ConfidenceInterval undefined = bootstrap_ratio({sums, none}, {});
  EXPECT_TRUE(std::isnan(undefined.value) && std::isnan(undefined.low) &&
              std::isnan(undefined.mid));
  EXPECT_EQ(undefined.left_out, 1000);
}

TEST(BootstrapDifference, ResamplesPairs) {
  const Values a = uniform_values(50, 1);
  Values b = a;
  for (double& value : b) value -= 0.125;  // always worse by as much
  const Difference difference = bootstrap_mean_difference(a, b, {});
  EXPECT_NEAR(difference.interval.low, 0.125, 1e-12);
  EXPECT_NEAR(difference.interval.high, 0.125, 1e-12);
  EXPECT_EQ(difference.p, 2.0 / 1001);
  EXPECT_EQ(bootstrap_mean_difference(b, a, {}).p, 2.0 / 1001);
}

TEST(BootstrapDifference, OfASystemAndItselfIsZero) {
  const Values a = uniform_values(50, 1);
  const Difference difference = bootstrap_mean_difference(a, a, {});
  expect_equal(difference.interval, {0, 0, 0, 0, 0});
  EXPECT_EQ(difference.p, 1);
}

TEST(BootstrapDifference, CancelsExactly) {
  const Values a{0.1, 0.7, 0.1, 0.7};
  const Values b{0.7, 0.1, 0.7, 0.1};
  const Difference difference = bootstrap_mean_difference(a, b, {.resamples = 20'000});
  // In 3 of 8 resamples both kinds of record are drawn equally often: these stand on both sides.
  EXPECT_EQ(difference.interval.mid, 0);
  EXPECT_EQ(difference.p, 1);
}

TEST(BootstrapDifference, PIsTwiceTheShareOnTheRarerSideOfZero) {
  // Differences 3 and -1: a quarter of the resamples sums to 6, half to 2, a quarter to -2.
  const Values a{3, 0};
  const Values b{0, 1};
  const BootstrapOptions options{.resamples = 20'000};
  EXPECT_NEAR(bootstrap_mean_difference(a, b, options).p, 0.5, 0.02);
  EXPECT_EQ(bootstrap_mean_difference(a, b, options).p, bootstrap_mean_difference(b, a, options).p);
  // One resample more or less: (1 + 1) / (1 + 1), twice, is no more than 1.
  EXPECT_EQ(bootstrap_mean_difference(a, b, {.resamples = 1}).p, 1);
}

TEST(BootstrapDifference, OfRatiosIsOfTheirSums) {
  const Values sums = uniform_values(50, 1);
  const Values other = uniform_values(50, 2);
  const Values ones(50, 1);
  const Difference ratios = bootstrap_ratio_difference({sums, ones}, {other, ones}, {});
  const Difference means = bootstrap_mean_difference(sums, other, {});
  EXPECT_NEAR(ratios.interval.value, means.interval.value, 1e-12);
  EXPECT_NEAR(ratios.interval.low, means.interval.low, 1e-12);
  EXPECT_NEAR(ratios.interval.high, means.interval.high, 1e-12);
  EXPECT_EQ(ratios.p, means.p);

  const Values half{1, 0};
  const Values weight{1, 0};
  const Values full{1, 1};
  EXPECT_NEAR(bootstrap_ratio_difference({half, weight}, {half, full}, {}).interval.left_out, 250,
              70);
}

TEST(Bootstrap, ValuesThatAreNoNumbersGiveNone) {
  const ConfidenceInterval interval = bootstrap_mean(Values{1, nan, 2}, {});
  EXPECT_TRUE(std::isnan(interval.value) && std::isnan(interval.low) && std::isnan(interval.high));
  EXPECT_TRUE(std::isnan(bootstrap_mean_difference(Values{1, nan}, Values{1, 1}, {}).p));
}

TEST(Bootstrap, RefusesWhatItCantResample) {
  const Values two{1, 2};
  const auto kind_of = [](const auto& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::io;
  };
  EXPECT_EQ(kind_of([&] { bootstrap_mean(two, {.confidence = 1.1}); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { bootstrap_mean(two, {.confidence = nan}); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { bootstrap_mean(two, {.resamples = 0}); }), ErrorKind::usage);
  EXPECT_EQ(kind_of([&] { bootstrap_mean({}, {}); }), ErrorKind::internal);
  EXPECT_EQ(kind_of([&] { bootstrap_ratio({two, Values{1}}, {}); }), ErrorKind::internal);
  EXPECT_EQ(kind_of([&] { bootstrap_mean_difference({}, two, {}); }), ErrorKind::internal);
}

TEST(Bootstrap, OfSeveralRatiosIsThatOfEachWhateverTheThreads) {
  const Values a = uniform_values(50, 1), b = uniform_values(50, 2),
               weights = uniform_values(50, 3);
  const RatioOfSums first[] = {{a, weights}, {b, {}}}, second[] = {{b, weights}, {a, {}}};
  for (const int threads : {1, 3}) {
    BootstrapOptions options;
    options.seed = 4;
    const auto alone = bootstrap_ratio(first[1], options);
    const auto difference = bootstrap_ratio_difference(first[0], second[0], options);
    options.threads = threads;
    const auto together = bootstrap_ratios(first, options);
    ASSERT_EQ(together.size(), 2U);
    expect_equal(together[1], alone);
    const auto differences = bootstrap_ratio_differences(first, second, options);
    ASSERT_EQ(differences.size(), 2U);
    expect_equal(differences[0].interval, difference.interval);
    EXPECT_EQ(differences[0].p, difference.p);
  }
  EXPECT_TRUE(bootstrap_ratios({}, {}).empty());
}

}  // namespace
}  // namespace gist
