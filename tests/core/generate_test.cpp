// Scheduling: rows come, share passes and the cache, and end.
#include "core/generate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "kernels/error.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/core/test_backend.h"

namespace gist {
namespace {

using testing::Each;
using testing::HasSubstr;

class Generate : public testing::Test {
 protected:
  LoadedModel loaded_ = random_model(small_shape());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};
  GenerationOptions options_;

  Generate() { options_.max_new_tokens = 8; }

  /// Requests of 1 to 30 tokens.
  std::vector<GenerationRequest> requests(std::size_t count) const {
    std::vector<GenerationRequest> result;
    for (std::size_t i = 0; i < count; ++i) {
      result.push_back(
          request_for(random_ids(1 + (i * 7) % 30, 50, static_cast<std::uint32_t>(i)), i));
    }
    return result;
  }
  /// One request at a time.
  std::vector<std::vector<std::int32_t>> one_by_one(
      const std::vector<GenerationRequest>& all) const {
    std::vector<std::vector<std::int32_t>> ids;
    for (const auto& request : all) ids.push_back(complete(model_, options_, {request})[0].ids);
    return ids;
  }
};

TEST_F(Generate, CompletionsDontDependOnRowsPassesOrCache) {
  const auto all = requests(13);
  const auto expected = one_by_one(all);
  EXPECT_THAT(expected, Each(testing::SizeIs(8)));
  for (const std::int32_t max_rows : {1, 2, 5, 64}) {
    for (const std::int32_t cache_tokens : {0, 64, 150, 32768}) {
      for (const std::int32_t batch_tokens : {1, 40, 4096}) {
        options_.max_rows = max_rows;
        options_.cache_tokens = cache_tokens;
        options_.batch_tokens = batch_tokens;
        EXPECT_EQ(ids_of(complete(model_, options_, all)), expected)
            << max_rows << " rows, cache " << cache_tokens << ", batch " << batch_tokens;
      }
    }
  }
}

TEST_F(Generate, SampledCompletionsDontDependOnThemEither) {
  options_.sampling.temperature = 1;
  options_.seed = 42;
  options_.max_new_tokens = generated_tokens(options_.max_new_tokens);
  const auto all = requests(9);
  const auto expected = one_by_one(all);
  for (const std::int32_t max_rows : {2, 64}) {
    options_.max_rows = max_rows;
    EXPECT_EQ(ids_of(complete(model_, options_, all)), expected);
    auto reversed = all;
    std::reverse(reversed.begin(), reversed.end());
    auto ids = ids_of(complete(model_, options_, reversed));
    std::reverse(ids.begin(), ids.end());
    EXPECT_EQ(ids, expected);
  }
  options_.seed = 43;
  EXPECT_NE(ids_of(complete(model_, options_, all)), expected);
}

TEST_F(Generate, ARowThatEndsMakesRoomForTheNext) {
  options_.max_rows = 2;
  std::vector<std::string> story;
  const auto all = requests(4);
  std::size_t next = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    story.push_back("next");
    if (next == all.size()) return std::nullopt;
    return all[next++];
  };
  // Row 0 ends after one token, the others after three.
  events.token = [](std::uint64_t request, const std::vector<std::int32_t>& ids) {
    return ids.size() < (request == 0 ? 1U : 3U);
  };
  events.done = [&](std::uint64_t request, const Completion&) {
    story.push_back("done " + std::to_string(request));
  };
  events.interrupted = [] { return false; };
  generate(model_, options_, events);
  EXPECT_EQ(story, (std::vector<std::string>{"next", "next", "done 0", "next", "done 1", "next",
                                             "done 2", "next", "done 3"}));
}

TEST_F(Generate, EndsAtEosWhichIsNotPartOfTheCompletion) {
  const GenerationRequest request = requests(5)[4];
  const auto ids = complete(model_, options_, {request})[0].ids;
  options_.ends = {ids[3]};
  const auto before = std::find(ids.begin(), ids.end(), ids[3]) - ids.begin();
  const Completion completion = complete(model_, options_, {request})[0];
  EXPECT_EQ(completion.reason, FinishReason::eos);
  EXPECT_EQ(completion.end, ids[3]);
  EXPECT_EQ(completion.ids, std::vector<std::int32_t>(ids.begin(), ids.begin() + before));
}

TEST_F(Generate, EndsAtWhicheverOfTheEndTokensComesFirst) {
  const GenerationRequest request = requests(5)[4];
  const auto ids = complete(model_, options_, {request})[0].ids;
  options_.ends = {ids[3], ids[1]};
  const auto first =
      std::find_first_of(ids.begin(), ids.end(), options_.ends.begin(), options_.ends.end());
  const Completion completion = complete(model_, options_, {request})[0];
  EXPECT_EQ(completion.end, *first);
  EXPECT_EQ(completion.ids, std::vector<std::int32_t>(ids.begin(), first));
}

TEST_F(Generate, StopsWhereTheTokenCallbackSaysSo) {
  std::vector<std::vector<std::int32_t>> heard;
  const auto completion = complete(model_, options_, requests(1),
                                   [&](std::uint64_t, const std::vector<std::int32_t>& ids) {
                                     heard.push_back(ids);
                                     return ids.size() < 3;
                                   })[0];
  EXPECT_EQ(completion.reason, FinishReason::stop);
  EXPECT_EQ(completion.ids, heard.back());
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_EQ(heard[0], std::vector<std::int32_t>(heard[2].begin(), heard[2].begin() + 1));
}

TEST_F(Generate, EndsWithTheModelsPositions) {
  const auto completion = complete(model_, options_, {request_for(random_ids(60, 50, 1))})[0];
  EXPECT_EQ(completion.reason, FinishReason::length);
  EXPECT_EQ(completion.ids.size(), 4U);  // 64 positions
}

TEST_F(Generate, AStoredGistsPositionCounts) {
  Sequence prompt{random_ids(50, 50, 1), {{48, 50}}};
  const GistActivations stored = compress_one(model_, prompt, scratch_);
  GenerationRequest request = request_for(random_ids(9, 50, 2));
  request.stored = &stored;
  request.stored_position = 48;
  EXPECT_EQ(complete(model_, options_, {request})[0].ids.size(), 5U);  // 64 - 50 - 9
}

TEST_F(Generate, RefusesARecordLongerThanThePositionsByItsNumber) {
  for (const std::size_t tokens : {64U, 65U}) {
    try {
      complete(model_, options_, {request_for(random_ids(tokens, 50, 1), 41)});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      EXPECT_THAT(error.what(), AllOf(HasSubstr("record 42"), HasSubstr("64 positions")));
    }
  }
}

TEST_F(Generate, EndsWhereLogitsAreNotFiniteAndNamesTheRecord) {
  const Sequence gist{random_ids(6, 50, 3), {{4, 6}}};
  for (auto part : {&GistActivations::key, &GistActivations::value}) {
    GistActivations broken = compress_one(model_, gist, scratch_);
    (broken.*part)[5] = std::numeric_limits<float>::quiet_NaN();
    GenerationRequest request = request_for({1, 2}, 4);
    request.stored = &broken;
    request.stored_position = 4;
    for (const float temperature : {0.0F, 1.0F}) {
      options_.sampling.temperature = temperature;
      try {
        complete(model_, options_, {request_for({1, 2, 3}), request});
        ADD_FAILURE() << "answered";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data);
        EXPECT_THAT(error.what(), AllOf(HasSubstr("record 5:"), HasSubstr("not finite")));
      }
    }
  }
}

TEST_F(Generate, RefusesARecordWithNothingToContinue) {
  EXPECT_THROW(complete(model_, options_, {request_for({})}), Error);
}

TEST_F(Generate, RefusesOptionsUnderWhichNothingCouldHappen) {
  GenerationOptions no_tokens = options_;
  no_tokens.max_new_tokens = 0;
  EXPECT_THROW(complete(model_, no_tokens, requests(1)), Error);
  GenerationOptions no_rows = options_;
  no_rows.max_rows = 0;
  EXPECT_THROW(complete(model_, no_rows, requests(1)), Error);
}

TEST_F(Generate, ZeroRequestsEndAtOnce) {
  EXPECT_TRUE(complete(model_, options_, {}).empty());
}

TEST_F(Generate, AnInterruptEndsBetweenStepsWithoutFurtherDone) {
  std::vector<std::uint64_t> done;
  int steps = 0;
  const auto all = requests(10);
  std::size_t next = 0;
  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> { return all.at(next++); };
  events.token = [](std::uint64_t request, const std::vector<std::int32_t>&) {
    return request != 1;  // row 1 ends in its first step
  };
  events.done = [&](std::uint64_t request, const Completion&) { done.push_back(request); };
  events.interrupted = [&] { return steps++ == 3; };
  options_.max_rows = 3;
  generate(model_, options_, events);
  EXPECT_EQ(done, (std::vector<std::uint64_t>{1}));
  EXPECT_EQ(next, 4U);
}

TEST_F(Generate, StepsAllocateNothingOnTheDeviceOnceRunning) {
  LlamaShape shape = small_shape();
  shape.max_positions = 0;
  shape.vocabulary = 3000;  // logits of all rows take more than a workspace's first chunk
  const LoadedModel loaded = random_model(shape);
  options_.max_new_tokens = 200;
  std::vector<std::size_t> memory;
  std::vector<GenerationRequest> all(100, request_for({1, 2, 3}));
  options_.max_rows = 100;
  complete(*loaded.model, options_, all, [&](std::uint64_t request, const auto&) {
    if (request == 0) memory.push_back(loaded.backend->memory().current);
    return true;
  });
  ASSERT_EQ(memory.size(), 200U);
  int changes = 0;
  for (std::size_t i = 20; i < 200; ++i) changes += memory[i] != memory[i - 1] ? 1 : 0;
  EXPECT_EQ(changes, 0);
}

}  // namespace
}  // namespace gist
