// Generation on the emulated device replays its decoding steps.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/cuda/emulation/stream.h"

namespace gist {
namespace {

using emulation::stream_counts;
using emulation::StreamCounts;

/// Returns what `run` adds to the counts.
template <typename Run>
StreamCounts counts_of(Run run) {
  const StreamCounts before = stream_counts();
  run();
  return {stream_counts().recordings - before.recordings, stream_counts().replays - before.replays};
}

std::vector<GenerationRequest> requests(std::size_t count, std::size_t most_tokens) {
  std::vector<GenerationRequest> result;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t tokens = 1 + (i * 7) % most_tokens;
    result.push_back(request_for(random_ids(tokens, 50, static_cast<std::uint32_t>(i)), i));
  }
  return result;
}

class GenerationReplay : public testing::TestWithParam<std::string> {
 protected:
  LoadedModel loaded_ = small_model(GetParam());
  const Model& model_ = *loaded_.model;
  GenerationOptions options_;

  GenerationReplay() { options_.max_new_tokens = 20; }
};

TEST_P(GenerationReplay, RowsThatComeAndEndGetTheTokensOfTheCpu) {
  const LoadedModel reference = small_model(GetParam(), make_cpu_backend());
  options_.max_rows = 3;
  const auto all = requests(7, 30);
  // Rows end one after the other, so that there are steps of three rows, of two and of one.
  const TokenCallback token = [](std::uint64_t request, const std::vector<std::int32_t>& ids) {
    return ids.size() < 8 + 3 * (request % 4);
  };
  std::vector<Completion> found;
  const StreamCounts counts = counts_of([&] { found = complete(model_, options_, all, token); });
  EXPECT_EQ(ids_of(found), ids_of(complete(*reference.model, options_, all, token)));
  EXPECT_GE(counts.recordings, 2);
  EXPECT_GT(counts.replays, counts.recordings);
}

TEST_P(GenerationReplay, AllDecodingStepsButTheFirstAreReplayed) {
  const StreamCounts counts = counts_of([&] { complete(model_, options_, requests(1, 30)); });
  EXPECT_EQ(counts.recordings, 1);
  EXPECT_GE(counts.replays, 20 - 3);  // one reads the prompt, one or two find their memory
}

TEST_P(GenerationReplay, NoGenerationReplaysTheStepsOfAnother) {
  const auto all = requests(2, 30);
  complete(model_, options_, all);
  options_.sampling.temperature = 2;
  const LoadedModel fresh = small_model(GetParam());
  EXPECT_EQ(ids_of(complete(model_, options_, all)), ids_of(complete(*fresh.model, options_, all)));
}

TEST_P(GenerationReplay, DrawsOfEachStepAreItsOwn) {
  const LoadedModel reference = small_model(GetParam(), make_cpu_backend());
  options_.sampling.temperature = 2;
  const auto all = requests(3, 30);
  EXPECT_EQ(ids_of(complete(model_, options_, all)),
            ids_of(complete(*reference.model, options_, all)));
}

INSTANTIATE_TEST_SUITE_P(Families, GenerationReplay, testing::ValuesIn(small_families()),
                         [](const auto& family) { return family.param; });

TEST(LongGenerationReplay, StepsAreRecordedAnewWhereTheListOfKeysOutgrowsItsLength) {
  const LoadedModel loaded = small_model("llama");
  const LoadedModel reference = small_model("llama", make_cpu_backend());
  GenerationOptions options;
  options.max_new_tokens = 12;
  std::vector<GenerationRequest> all;
  for (std::uint32_t i = 0; i < 32; ++i) all.push_back(request_for(random_ids(28, 50, i), i));
  std::vector<Completion> found;
  const StreamCounts counts = counts_of([&] { found = complete(*loaded.model, options, all); });
  EXPECT_EQ(counts.recordings, 2);  // of up to 1024 keys, and of more
  EXPECT_EQ(ids_of(found), ids_of(complete(*reference.model, options, all)));
}

}  // namespace
}  // namespace gist
