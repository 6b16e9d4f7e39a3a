#include "cli/report/axis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace gist {
namespace {

using testing::ElementsAre;

std::vector<std::string> texts(const AxisSpec& spec, std::optional<Range> range, int ticks = 5) {
  const Axis axis(spec, range, 0, 100, ticks);
  std::vector<std::string> all;
  for (const Tick& tick : axis.ticks()) all.push_back(tick.text);
  return all;
}

TEST(Axis, TicksAreRoundAndEncloseTheValues) {
  EXPECT_THAT(texts({}, Range{0.13, 0.87}), ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(texts({}, Range{-3, 4}), ElementsAre("−4", "−2", "0", "2", "4"));
  EXPECT_THAT(texts({"", Quantity::percent}, Range{0.61, 0.68}),
              ElementsAre("60", "62", "64", "66", "68"));
}

TEST(Axis, LargeValuesShareAUnit) {
  EXPECT_THAT(texts({}, Range{0, 20000}), ElementsAre("0", "5 k", "10 k", "15 k", "20 k"));
  EXPECT_THAT(texts({"", Quantity::bytes}, Range{0, 4000}),
              ElementsAre("0 KiB", "1 KiB", "2 KiB", "3 KiB", "4 KiB"));
  EXPECT_THAT(texts({"", Quantity::duration}, Range{0, 0.0021}),
              ElementsAre("0 ms", "0.5 ms", "1 ms", "1.5 ms", "2 ms", "2.5 ms"));
}

TEST(Axis, LogarithmsHaveDecadesOrTheirParts) {
  const AxisSpec spec{"", Quantity::number, true};
  EXPECT_THAT(texts(spec, Range{0.002, 30}), ElementsAre("0.001", "0.01", "0.1", "1", "10", "100"));
  EXPECT_THAT(texts(spec, Range{3, 40}), ElementsAre("2", "5", "10", "20", "50"));
  EXPECT_THAT(texts(spec, Range{2e-6, 0.01}), ElementsAre("1e-6", "1e-5", "1e-4", "0.001", "0.01"));
}

TEST(Axis, PixelsFollowTheScale) {
  const Axis linear({}, Range{0, 10}, 20, 120, 5);
  EXPECT_DOUBLE_EQ(linear.at(0), 20);
  EXPECT_DOUBLE_EQ(linear.at(5), 70);
  EXPECT_DOUBLE_EQ(linear.at(99), 120);  // at the end
  const Axis logarithmic({"", Quantity::number, true}, Range{1, 10000}, 0, 100, 4);
  EXPECT_NEAR(logarithmic.at(100), 50, 1e-9);
  EXPECT_DOUBLE_EQ(logarithmic.at(0), 0);  // there is no logarithm
}

TEST(Axis, AnyValuesHaveAnAxis) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const bool logarithmic : {false, true}) {
    for (const bool from_zero : {false, true}) {
      const AxisSpec spec{"", Quantity::number, logarithmic, from_zero};
      for (const double value : {0.0, 1.0, -2.0, 1e-320, 1e240, 0.1}) {
        std::optional<Range> range;
        include(range, infinity);
        include(range, std::nan(""));
        include(range, -1e300);
        EXPECT_FALSE(range);
        include(range, value);
        const Axis axis(spec, range, 0, 100, 5);
        EXPECT_GE(axis.ticks().size(), 2U);
        EXPECT_LE(axis.ticks().size(), 20U);
        EXPECT_TRUE(std::isfinite(axis.at(value))) << value;
      }
      EXPECT_GE(texts(spec, std::nullopt).size(), 2U);
      EXPECT_GE(texts(spec, Range{1e17, 1e17 + 32}).size(), 2U);  // doubles are 16 apart
    }
  }
}

TEST(Numbers, AreShownAsPeopleReadThem) {
  EXPECT_EQ(shown(0.448, Quantity::percent), "44.8");
  EXPECT_EQ(shown(-0.00001, Quantity::percent), "0.0");
  EXPECT_EQ(shown(-1.25, Quantity::nats), "−1.2500");
  EXPECT_EQ(shown(1234567, Quantity::count), "1,234,567");
  EXPECT_EQ(shown(142.25, Quantity::count), "142.2");
  EXPECT_EQ(shown(135168, Quantity::bytes), "132 KiB");
  EXPECT_EQ(shown(3.5 * 1024, Quantity::bytes), "3.5 KiB");
  EXPECT_EQ(shown(0, Quantity::bytes), "0 B");
  EXPECT_EQ(shown(914.7e9, Quantity::flops), "915 G");
  EXPECT_EQ(shown(0.0012345, Quantity::duration), "1.23 ms");
  EXPECT_EQ(shown(12.5, Quantity::duration), "12.5 s");
  EXPECT_EQ(shown(2.5e-5, Quantity::rate), "2.5e-05");
  EXPECT_EQ(shown(12345.6, Quantity::number), "12,346");
  EXPECT_EQ(shown(std::nan(""), Quantity::percent), "–");
  EXPECT_EQ(shown_with_sign(0.012, Quantity::percent), "+1.2");
  EXPECT_EQ(shown_with_sign(-0.012, Quantity::percent), "−1.2");
}

TEST(Numbers, StandBesideTheExactOnes) {
  EXPECT_EQ(number(0.1 + 0.2, Quantity::percent).code,
            "<data value=\"0.30000000000000004\">30.0</data>");
  EXPECT_EQ(number(std::nan(""), Quantity::percent).code, "–");
}

}  // namespace
}  // namespace gist
