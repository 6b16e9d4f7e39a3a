#include "core/baseline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace gist {
namespace {

using ::testing::ElementsAre;

/// Token i has keys (i, 10 i), value 100 i and hidden state -i.
GistActivations prompt_of(std::int32_t tokens) {
  GistActivations prompt;
  prompt.tokens = tokens;
  for (std::int32_t i = 0; i < tokens; ++i) {
    const auto value = static_cast<float>(i);
    prompt.key.insert(prompt.key.end(), {value, 10 * value});
    prompt.value.push_back(100 * value);
    prompt.hidden.push_back(-value);
  }
  return prompt;
}

TEST(Baseline, HasNames) {
  for (const Baseline each : {Baseline::cut, Baseline::pooled, Baseline::random}) {
    EXPECT_EQ(baseline_named(name_of(each)), each);
  }
  EXPECT_EQ(baseline_named("none"), std::nullopt);
}

TEST(Baseline, PoolsTheMeanOfEachSegment) {
  const GistActivations one = mean_pooled(prompt_of(5), 1);
  EXPECT_EQ(one.tokens, 1);
  EXPECT_THAT(one.key, ElementsAre(2, 20));
  EXPECT_THAT(one.value, ElementsAre(200));
  EXPECT_THAT(one.hidden, ElementsAre(-2));
  const GistActivations two = mean_pooled(prompt_of(5), 2);  // tokens 0, 1 and 2, 3, 4
  EXPECT_THAT(two.key, ElementsAre(0.5, 5, 3, 30));
  EXPECT_THAT(two.value, ElementsAre(50, 300));
}

TEST(Baseline, AShortPromptIsKeptWhole) {
  const GistActivations prompt = prompt_of(3);
  for (const GistActivations& kept : {mean_pooled(prompt, 7), random_tokens(prompt, 7, 1, 0)}) {
    EXPECT_EQ(kept.tokens, 3);
    EXPECT_EQ(kept.key, prompt.key);
    EXPECT_EQ(kept.value, prompt.value);
    EXPECT_EQ(kept.hidden, prompt.hidden);
  }
}

TEST(Baseline, DrawsTokensInTheirOrderByRecord) {
  const GistActivations prompt = prompt_of(20);
  std::set<std::vector<float>> drawn;
  for (std::uint64_t ordinal = 0; ordinal < 50; ++ordinal) {
    const GistActivations some = random_tokens(prompt, 3, 1, ordinal);
    EXPECT_EQ(some.tokens, 3);
    EXPECT_TRUE(std::is_sorted(some.value.begin(), some.value.end()));
    EXPECT_EQ(std::set(some.value.begin(), some.value.end()).size(), 3u);
    EXPECT_EQ(some.value, random_tokens(prompt, 3, 1, ordinal).value);
    drawn.insert(some.value);
  }
  EXPECT_GT(drawn.size(), 40u);
  EXPECT_NE(random_tokens(prompt, 3, 1, 0).value, random_tokens(prompt, 3, 2, 0).value);
}

}  // namespace
}  // namespace gist
