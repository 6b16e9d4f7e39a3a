#include "cli/progress.h"

#include <gtest/gtest.h>

#include "cli/words.h"

namespace gist {
namespace {

TEST(Progress, TimeLeftGoesByTheWorkOfThisRun) {
  // 10 of 100 in 10 seconds.
  EXPECT_DOUBLE_EQ(*seconds_left({0, 100, {}}, {10, 100, {}}, 10), 90);
  // A run that goes on after 80: 10 took 10 seconds, 10 are left.
  EXPECT_DOUBLE_EQ(*seconds_left({80, 100, {}}, {90, 100, {}}, 10), 10);
  EXPECT_DOUBLE_EQ(*seconds_left({8, {}, 0.8}, {9, {}, 0.9}, 10), 10);
}

TEST(Progress, NothingIsSaidOfTimeWhereNothingIsDoneOrTheWholeIsUnknown) {
  EXPECT_EQ(seconds_left({0, 100, {}}, {0, 100, {}}, 10), std::nullopt);
  EXPECT_EQ(seconds_left({80, 100, {}}, {80, 100, {}}, 10), std::nullopt);
  EXPECT_EQ(seconds_left({0, {}, {}}, {7, {}, {}}, 10), std::nullopt);
  EXPECT_EQ(seconds_left({0, 0, {}}, {0, 0, {}}, 10), std::nullopt);
}

TEST(Progress, ALineHasTheCountTheShareAndTheTimeLeft) {
  EXPECT_EQ(progress_line("step", {0, 20, {}}, {5, 20, {}}, "loss 1.2", 5),
            "step 5/20, loss 1.2, 25 %, 15 s left");
  EXPECT_EQ(progress_line("record", {}, {1, {}, {}}, "", 5), "1 record");
  EXPECT_EQ(progress_line("record", {}, {2000, {}, 0.5}, "9/s", 200),
            "2,000 records, 9/s, 50 %, 3 min left");
}

TEST(Words, ACountHasItsNounInTheRightNumber) {
  EXPECT_EQ(counted(0, "way"), "0 ways");
  EXPECT_EQ(counted(1, "way"), "1 way");
  EXPECT_EQ(counted(999, "way"), "999 ways");
  EXPECT_EQ(counted(1000, "way"), "1,000 ways");
  EXPECT_EQ(counted(1234567, "way"), "1,234,567 ways");
}

TEST(Words, ADurationHasAtMostTwoUnits) {
  EXPECT_EQ(duration_in_words(0.2), "less than a second");
  EXPECT_EQ(duration_in_words(1.4), "1 s");
  EXPECT_EQ(duration_in_words(99.4), "99 s");
  EXPECT_EQ(duration_in_words(100), "2 min");
  EXPECT_EQ(duration_in_words(3599), "1 h 0 min");
  EXPECT_EQ(duration_in_words(7800), "2 h 10 min");
  EXPECT_EQ(duration_in_words(86399), "1 day 0 h");
  EXPECT_EQ(duration_in_words(273600), "3 days 4 h");
}

}  // namespace
}  // namespace gist
