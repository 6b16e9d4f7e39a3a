#include "core/answer_times.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "core/key_value_cache.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"

namespace gist {
namespace {

class TimeAnswers : public testing::TestWithParam<std::string> {
 protected:
  LoadedModel loaded_ = load_model(GetParam());
  const Model& model_ = *loaded_.model;
  GenerationOptions options_;
  std::size_t asked_ = 0;

  TimeAnswers() {
    options_.max_new_tokens = 5;
    options_.cache_tokens = 64;
  }
  AnswerTimes time(const std::vector<GenerationRequest>& requests) {
    asked_ = 0;
    return time_answers(model_, options_, [&]() -> std::optional<GenerationRequest> {
      if (asked_ == requests.size()) return std::nullopt;
      return requests[asked_++];
    });
  }
};

TEST_P(TimeAnswers, OfEachRequestOnce) {
  const AnswerTimes times =
      time({request_for({5, 6, 7}, 0), request_for({8, 9}, 1), request_for({5}, 2)});
  EXPECT_EQ(asked_, 3U);
  ASSERT_EQ(times.rows.size(), 3U);
  for (const AnswerTime& row : times.rows) {
    EXPECT_EQ(row.decode_steps, 4);
    EXPECT_GT(row.prefill_seconds, 0);
    EXPECT_GT(row.decode_seconds, 0);
    EXPECT_EQ(row.first_token_seconds(), row.load_seconds + row.prefill_seconds);
  }
}

TEST_P(TimeAnswers, CountsTheStepThatEndsARow) {
  options_.ends = {loaded_.eos};
  options_.max_new_tokens = 200;
  const std::vector<GenerationRequest> requests{request_for({5, 6, 7}, 0), request_for({8, 9}, 1)};
  const std::vector<Completion> completions = complete(model_, options_, requests);
  const AnswerTimes times = time(requests);
  ASSERT_EQ(times.rows.size(), 2U);
  for (std::size_t i = 0; i < 2; ++i) {
    const bool eos = completions[i].reason == FinishReason::eos;
    EXPECT_EQ(times.rows[i].decode_steps, std::ssize(completions[i].ids) - (eos ? 0 : 1));
  }
}

TEST_P(TimeAnswers, LoadingIsPartOfTheTimeToTheFirstToken) {
  bool given = false;
  const AnswerTimes times = time_answers(model_, options_, [&]() {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return std::exchange(given, true) ? std::nullopt : std::optional(request_for({5, 6}, 0));
  });
  ASSERT_EQ(times.rows.size(), 1U);
  EXPECT_GE(times.rows[0].load_seconds, 0.02);
  EXPECT_GE(times.first_token_seconds(), 0.02);
}

TEST_P(TimeAnswers, PeakMemoryIsOfTheseAnswers) {
  const std::size_t small = time({request_for({5}, 0)}).peak_bytes;
  EXPECT_GE(small, model_.weight_bytes());
  options_.cache_tokens = 65536;
  const std::size_t large = time({request_for({5}, 0)}).peak_bytes;
  const std::size_t slot = KeyValueCache::bytes_per_slot(model_.spec().stacks.back());
  EXPECT_GE(large, small + 65000 * slot);
  options_.cache_tokens = 64;
  EXPECT_EQ(time({request_for({5}, 0)}).peak_bytes, small);
}

TEST_P(TimeAnswers, OfNothingAreNone) {
  EXPECT_TRUE(time({}).rows.empty());
}

INSTANTIATE_TEST_SUITE_P(Models, TimeAnswers,
                         testing::Values("wordtasks-llama-gist", "wordtasks-t5-gist"),
                         [](const auto& model) {
                           return std::string(model.param == "wordtasks-t5-gist" ? "t5" : "llama");
                         });

TEST(AnswerTimes, AreMeansOverRowsAndStepsOverSeconds) {
  AnswerTimes times;
  times.rows = {{0.5, 1, 2, 4}, {0, 2, 0, 0}};
  EXPECT_EQ(times.prefill_seconds(), 1.5);
  EXPECT_EQ(times.first_token_seconds(), 1.75);
  EXPECT_EQ(times.decode_tokens_per_second(), 2);
  times.rows.erase(times.rows.begin());
  EXPECT_EQ(times.decode_tokens_per_second(), std::nullopt);
}

}  // namespace
}  // namespace gist
