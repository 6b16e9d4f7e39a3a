#include "core/pass.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/error.h"
#include "tests/core/loaded_model.h"

namespace gist {
namespace {

class PassDropouts : public testing::Test {
 protected:
  Dropout first(std::uint64_t step, std::uint32_t pass) {
    PassOptions options;
    options.dropout = PassDropout{7, step, pass};
    Batch batch;
    return Pass(*loaded_.model, batch, options, scratch_).next_dropout(0.5F);
  }

  LoadedModel loaded_ = random_model(small_shape());
  Scratch scratch_{*loaded_.backend};
};

TEST_F(PassDropouts, EachPassOfEachStepDrawsFromAStreamOfItsOwn) {
  std::set<std::pair<std::uint64_t, std::uint64_t>> streams;
  for (std::uint64_t step = 1; step <= 4; ++step) {
    for (std::uint32_t pass = 0; pass < 1100; ++pass) {
      const Dropout drawn = first(step, pass);
      EXPECT_TRUE(streams.emplace(drawn.seed, drawn.stream).second) << step << " " << pass;
    }
  }
}

TEST_F(PassDropouts, KeepTheStreamsThatCheckpointsWereTrainedWith) {
  const Dropout drawn = first(3, 255);
  EXPECT_EQ(drawn.seed, 7u);
  EXPECT_EQ(drawn.stream, std::uint64_t{3} << 32 | std::uint64_t{255} << 24);
}

TEST_F(PassDropouts, RefuseAStepThatTheStreamsCannotTellApart) {
  EXPECT_THROW(first(std::uint64_t{1} << 32, 0), Error);
}

}  // namespace
}  // namespace gist
