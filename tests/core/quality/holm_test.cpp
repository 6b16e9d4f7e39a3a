#include "core/quality/holm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gist {
namespace {

using Values = std::vector<double>;

void expect_adjusted(const Values& p, const Values& expected) {
  const Values adjusted = holm_adjusted(p);
  ASSERT_EQ(adjusted.size(), expected.size());
  for (std::size_t i = 0; i < p.size(); ++i) EXPECT_NEAR(adjusted[i], expected[i], 1e-12) << i;
}

// The expected values are computed by hand, and by R's p.adjust(p, "holm").
TEST(HolmAdjusted, IsAsByHand) {
  expect_adjusted({0.01, 0.04, 0.03, 0.005}, {0.03, 0.06, 0.06, 0.02});
  expect_adjusted({0.5, 0.6}, {1, 1});
  expect_adjusted({0.02}, {0.02});
  expect_adjusted({}, {});
}

TEST(HolmAdjusted, WhatIsNoNumberDoesNotCount) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Values adjusted = holm_adjusted(Values{0.01, nan, 0.02});
  EXPECT_NEAR(adjusted[0], 0.02, 1e-12);
  EXPECT_TRUE(std::isnan(adjusted[1]));
  EXPECT_NEAR(adjusted[2], 0.02, 1e-12);
}

}  // namespace
}  // namespace gist
