#include "formats/sequences/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gist {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

ModelSpec spec_with(int window) {
  ModelSpec spec;
  spec.stacks.push_back({StackKind::causal, 1, 1, 1, 4, 4, false, window});
  return spec;
}

Sequence gisted(std::int32_t begin, std::int32_t end) {
  return {std::vector<std::int32_t>(static_cast<std::size_t>(end) + 5), {{begin, end}}};
}

TEST(WindowWatch, TellsOnceOfAPromptThatItDoesNotHold) {
  WindowWatch watch(spec_with(10));
  EXPECT_EQ(watch.prompt_and_gist(gisted(8, 10), "a:1"), "");
  EXPECT_THAT(watch.prompt_and_gist(gisted(8, 11), "a:2"),
              AllOf(HasSubstr("a:2: prompt and gist may take 11 tokens"),
                    HasSubstr("see only 10 at once")));
  EXPECT_EQ(watch.prompt_and_gist(gisted(8, 11), "a:3"), "");
}

TEST(WindowWatch, TellsOnceOfAnAnswerThatItDoesNotHold) {
  WindowWatch watch(spec_with(10));
  EXPECT_EQ(watch.gist_and_answer(10, "a:1"), "");
  EXPECT_THAT(watch.gist_and_answer(12, "a:2"), HasSubstr("a:2: the gist and what follows it"));
  EXPECT_EQ(watch.gist_and_answer(12, "a:3"), "");
}

TEST(WindowWatch, HasNothingToSayWithoutAWindowOrAGist) {
  WindowWatch without(spec_with(0)), with(spec_with(3));
  EXPECT_EQ(without.prompt_and_gist(gisted(8, 11), "a"), "");
  EXPECT_EQ(without.gist_and_answer(1000, "a"), "");
  EXPECT_EQ(with.prompt_and_gist({{1, 2, 3, 4, 5}, {}}, "a"), "");
}

}  // namespace
}  // namespace gist
