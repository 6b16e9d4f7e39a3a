#include "core/quality/wilson_interval.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

void expect_interval(const ShareInterval& interval, double low, double high) {
  EXPECT_NEAR(interval.low, low, 5e-5);
  EXPECT_NEAR(interval.high, high, 5e-5);
}

// With z = 1.959964 the interval is: of 0 of n, 0 to z^2 / (n + z^2); of 5 of 10, 0.5 -+ z / (2
// sqrt(n + z^2)).
TEST(WilsonInterval, IsAsByHand) {
  expect_interval(wilson_interval(0, 10, 0.95), 0, 0.2775);
  expect_interval(wilson_interval(1, 10, 0.95), 0.7225, 1);
  expect_interval(wilson_interval(0.5, 10, 0.95), 0.2366, 0.7634);
  expect_interval(wilson_interval(0.41, 500, 0.95), 0.3677, 0.4536);
}

TEST(WilsonInterval, StaysWithinAShare) {
  for (const double confidence : {0.0, 0.5, 0.95, 0.999, 1.0}) {
    for (const double share : {0.0, 1.0 / 3, 1.0}) {
      const ShareInterval interval = wilson_interval(share, 3, confidence);
      EXPECT_LE(0, interval.low);
      EXPECT_LE(interval.low, share + 1e-12);
      EXPECT_GE(interval.high, share - 1e-12);
      EXPECT_LE(interval.high, 1);
    }
  }
  EXPECT_EQ(wilson_interval(0, 3, 0.95).low, 0);
  EXPECT_EQ(wilson_interval(1, 3, 0.95).high, 1);
}

TEST(WilsonInterval, OfNothingIsAll) {
  expect_interval(wilson_interval(0, 0, 0.95), 0, 1);
}

}  // namespace
}  // namespace gist
