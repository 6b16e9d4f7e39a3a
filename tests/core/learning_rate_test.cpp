#include "core/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace gist {
namespace {

TEST(LearningRate, RisesOverTheWarmUpAndFallsOverTheWholeRun) {
  // min(1, (s + 1) / 4) * (1 - s / 10)
  const double linear[] = {0.25, 0.45, 0.6, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1};
  for (int s = 0; s < 10; ++s) {
    EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::linear, s, 4, 10), linear[s]) << s;
  }
}

TEST(LearningRate, CosineIsAHalfWave) {
  EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::cosine, 0, 0, 12), 1);
  EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::cosine, 4, 0, 12), 0.75);
  EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::cosine, 6, 0, 12), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::cosine, 8, 0, 12), 0.25);
  EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::cosine, 4, 10, 12), 0.375);
}

TEST(LearningRate, ConstantStaysAfterTheWarmUp) {
  const double factors[] = {0.5, 1, 1, 1};
  for (int s = 0; s < 4; ++s) {
    EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::constant, s, 2, 4), factors[s]) << s;
    EXPECT_DOUBLE_EQ(learning_rate_factor(Schedule::constant, s, 0, 4), 1) << s;
  }
}

TEST(LearningRate, IsNeverZeroInARun) {
  for (const Schedule schedule : {Schedule::linear, Schedule::cosine, Schedule::constant}) {
    for (int s = 0; s < 100; ++s) {
      EXPECT_GT(learning_rate_factor(schedule, s, 200, 100), 0) << name_of(schedule) << s;
    }
  }
}

TEST(LearningRate, SchedulesHaveNames) {
  for (const char* name : {"linear", "cosine", "constant"}) {
    const auto schedule = schedule_named(name);
    ASSERT_TRUE(schedule) << name;
    EXPECT_EQ(name_of(*schedule), name);
  }
  EXPECT_FALSE(schedule_named("Linear"));
  EXPECT_FALSE(schedule_named(""));
}

}  // namespace
}  // namespace gist
