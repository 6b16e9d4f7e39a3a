#include "gist/compress_prompts.h"

#include <string>
#include <thread>
#include <vector>

#include "tests/gist/compress_model.h"

namespace gist {
namespace {

using testing::CompressModel;
using testing::expect_error;

const std::vector<std::string> prompts{"Repeat the words.", "Reverse the words.",
                                       "Repeat the words."};

TEST(CompressPrompts, EachPromptHasItsGistInTheOrderGiven) {
  const CompressModel model;
  const std::vector<MadeGist> gists =
      compress_prompts(model.files, model.model, model.task, prompts);
  ASSERT_EQ(gists.size(), 3u);
  EXPECT_EQ(gists[0].activations.tokens, 1);
  EXPECT_THAT(gists[0].activations.key,
              ::testing::Pointwise(::testing::FloatNear(1e-4F), gists[2].activations.key));
  EXPECT_NE(gists[0].activations.key, gists[1].activations.key);
}

TEST(CompressPrompts, BatchesDontChangeAGist) {
  const CompressModel model;
  const std::vector<MadeGist> together =
      compress_prompts(model.files, model.model, model.task, prompts);
  const std::vector<MadeGist> alone =
      compress_prompts(model.files, model.model, model.task, prompts, {8192, 1});
  ASSERT_EQ(alone.size(), together.size());
  for (std::size_t i = 0; i < alone.size(); ++i) {
    EXPECT_THAT(alone[i].activations.key,
                ::testing::Pointwise(::testing::FloatNear(1e-4F), together[i].activations.key));
  }
}

TEST(CompressPrompts, AnEmptyPromptIsNamed) {
  const CompressModel model;
  const std::vector<std::string> bad{"Repeat.", " "};
  expect_error(ErrorKind::data,
               "prompts:2: ", [&] { compress_prompts(model.files, model.model, model.task, bad); });
}

TEST(CompressPrompts, TwoModelsServeTwoThreads) {
  const CompressModel models[2];
  std::vector<MadeGist> gists[2];
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&models, &gists, i] {
      gists[i] = compress_prompts(models[i].files, models[i].model, models[i].task, prompts);
    });
  }
  for (std::thread& thread : threads) thread.join();
  ASSERT_EQ(gists[0].size(), 3u);
  EXPECT_EQ(gists[0][1].activations.value, gists[1][1].activations.value);
}

}  // namespace
}  // namespace gist
