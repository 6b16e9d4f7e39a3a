#include "cli/report/training_metrics.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "made_up.h"

namespace gist {
namespace {

constexpr const char* lines =
    R"({"step":1,"loss":2.5,"lr":0.001,"grad_norm":3.5,"tokens":100,"labels":20,"seconds":0.5}
{"step":1,"eval_loss":2.25,"seconds":1}
{"step":2,"loss":null,"lr":0.001,"grad_norm":3.5,"tokens":100,"labels":20,"seconds":0.5}
[1]
not JSON

{"step":3,"loss":1.5,"lr":0.0005,"grad_norm":1,"tokens":90,"labels":10,"seconds":0.25}
{"step":4,"loss":1.2,"lr")";

TEST(TrainingMetrics, AreReadFromLinesAndOthersPassedOver) {
  const TrainingMetrics metrics = parse_training_metrics(lines);
  ASSERT_EQ(metrics.steps.size(), 2U);
  EXPECT_EQ(metrics.steps[0].step, 1);
  EXPECT_EQ(metrics.steps[0].loss, 2.5);
  EXPECT_EQ(metrics.steps[0].tokens, 100);
  EXPECT_EQ(metrics.steps[1].learning_rate, 0.0005);
  EXPECT_EQ(metrics.steps[1].gradient_norm, 1);
  EXPECT_EQ(metrics.steps[1].labels, 10);
  EXPECT_EQ(metrics.steps[1].seconds, 0.25);
  ASSERT_EQ(metrics.held_out.size(), 1U);
  EXPECT_EQ(metrics.held_out[0].loss, 2.25);
}

TEST(TrainingMetrics, SamplesHaveTheirAnswersByStep) {
  const EvaluationRecord first{"Sort", "b, a", "a b", 0, 0};
  EvaluationRecord second{"Turn", "b, a", "a b", 0, 4};
  std::string text = samples_line(2, {first, second}, {"b", std::string("\0\x1b", 2)});
  text += "{\"step\":3,\"samples\":7}\n{\"step\":3,\"samples\":[7,{\"ordinal\":1}]}\n";
  text += "{\"samples\":[]}\n";
  second.input = "another";  // a run that goes on with other records
  text += samples_line(4, {first, second, first}, {"a b", "", "c"});
  const TrainingMetrics metrics = parse_training_metrics(text);
  ASSERT_EQ(metrics.samples.size(), 3U);
  EXPECT_EQ(metrics.samples[0].instruction, "Sort");
  EXPECT_EQ(metrics.samples[0].reference_answer, "a b");
  ASSERT_EQ(metrics.samples[0].answers.size(), 3U);
  EXPECT_EQ(metrics.samples[0].answers[0].step, 2);
  EXPECT_EQ(metrics.samples[0].answers[0].completion, "b");
  EXPECT_EQ(metrics.samples[0].answers[1].step, 4);
  EXPECT_TRUE(metrics.samples[0].answers[1].ended);
  EXPECT_FALSE(metrics.samples[0].answers[2].ended);
  EXPECT_EQ(metrics.samples[0].answers[2].tokens, 9);
  EXPECT_EQ(metrics.samples[1].ordinal, 4U);
  ASSERT_EQ(metrics.samples[1].answers.size(), 1U);
  EXPECT_EQ(metrics.samples[1].answers[0].completion, std::string("\0\x1b", 2));
  EXPECT_EQ(metrics.samples[2].input, "another");
  EXPECT_TRUE(metrics.steps.empty());
}

TEST(TrainingMetrics, FewPointsStay) {
  const std::vector<LineChart::Point> points{{1, 5, 5, 5}, {2, 6, 6, 6}};
  EXPECT_EQ(thinned(points, 2).size(), 2U);
  EXPECT_TRUE(thinned({}, 10).empty());
}

TEST(TrainingMetrics, ManyPointsBecomeMeansWithTheirEnvelope) {
  std::vector<LineChart::Point> points;
  double sum = 0, low = 0, high = 0;
  for (int i = 0; i < 10007; ++i) {
    const double y = std::sin(0.7 * i) + (i == 5000 ? 9 : 0);
    points.push_back({static_cast<double>(i), y, y, y});
    sum += y;
    low = std::min(low, y);
    high = std::max(high, y);
  }
  const std::vector<LineChart::Point> kept = thinned(points, 100);
  EXPECT_LE(kept.size(), 101U);
  EXPECT_GE(kept.size(), 99U);
  double kept_low = 0, kept_high = 0, kept_sum = 0;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_LE(kept[i].low, kept[i].y);
    EXPECT_GE(kept[i].high, kept[i].y);
    EXPECT_TRUE(i == 0 || kept[i].x > kept[i - 1].x);
    kept_low = std::min(kept_low, kept[i].low);
    kept_high = std::max(kept_high, kept[i].high);
    kept_sum += kept[i].y;
  }
  EXPECT_EQ(kept_low, low);
  EXPECT_EQ(kept_high, high);  // the spike is there
  EXPECT_NEAR(kept_sum / static_cast<double>(kept.size()), sum / 10007, 0.01);
}

TEST(TrainingMetrics, GapsStayGaps) {
  std::vector<LineChart::Point> points;
  for (int i = 0; i < 100; ++i) points.push_back({i < 50 ? 1.0 * i : 1000.0 + i, 1, 1, 1});
  const std::vector<LineChart::Point> kept = thinned(points, 20);
  for (const LineChart::Point& point : kept) EXPECT_TRUE(point.x < 50 || point.x > 1000);
}

TEST(TrainingMetrics, SmoothedIsTheMeanOfWhatStandsAround) {
  const std::vector<LineChart::Point> points{
      {1, 2, 2, 2}, {2, 4, 4, 4}, {3, 9, 9, 9}, {4, 5, 5, 5}};
  const std::vector<LineChart::Point> found = smoothed(points, 1);
  ASSERT_EQ(found.size(), 4U);
  const double expected[] = {3, 5, 6, 7};
  for (std::size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(found[i].x, points[i].x);
    EXPECT_EQ(found[i].y, expected[i]);
  }
  EXPECT_EQ(smoothed(points, 0)[2].y, 9);
  EXPECT_TRUE(smoothed({}, 3).empty());
}

TEST(TrainingMetrics, TotalsAreOfAllSteps) {
  TrainingMetrics metrics;
  metrics.steps = {{1, 0, 0, 0, 100, 10, 1}, {2, 0, 0, 0, 300, 10, 2}, {3, 0, 0, 0, 100, 10, 0.5}};
  metrics.held_out = {{1, 3}, {2, 1}, {3, 2}};
  const TrainingTotals totals = totals_of(metrics);
  EXPECT_EQ(totals.tokens, 500);
  EXPECT_EQ(totals.seconds, 3.5);
  EXPECT_EQ(totals.tokens_per_second, 150);
  EXPECT_EQ(lowest(metrics.held_out)->step, 2);
  EXPECT_EQ(lowest({}), nullptr);
}

}  // namespace
}  // namespace gist
