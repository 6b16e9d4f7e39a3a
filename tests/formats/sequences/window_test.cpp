#include "formats/sequences/window.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gist {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

ModelSpec spec_with(int window) {
  ModelSpec spec;
  spec.stacks.push_back({StackKind::causal, 1, 1, 1, 4, 4, false, window});
  return spec;
}

Sequence gisted(std::int32_t begin, std::int32_t end) {
  return {std::vector<std::int32_t>(static_cast<std::size_t>(end) + 5), {{begin, end}}};
}

class WindowWatchTest : public ::testing::Test {
 protected:
  WindowWatch watch(int window) {
    return {spec_with(window), [this](const std::string& line) { told_.push_back(line); }};
  }
  std::vector<std::string> told_;
};

TEST_F(WindowWatchTest, TellsOnceOfAPromptThatItDoesNotHold) {
  WindowWatch ten = watch(10);
  ten.prompt_and_gist(gisted(8, 10), "a", 1);
  EXPECT_THAT(told_, IsEmpty());
  ten.prompt_and_gist(gisted(8, 11), "a", 2);
  ten.prompt_and_gist(gisted(8, 11), "a", 3);
  EXPECT_THAT(told_, ElementsAre(AllOf(HasSubstr("a:2: prompt and gist may take 11 tokens"),
                                       HasSubstr("see only 10 at once"))));
}

TEST_F(WindowWatchTest, TellsOnceOfAnAnswerThatItDoesNotHold) {
  WindowWatch ten = watch(10);
  ten.gist_and_answer(10, "a", 1);
  EXPECT_THAT(told_, IsEmpty());
  ten.gist_and_answer(12, "a", 2);
  ten.gist_and_answer(12, "a", 3);
  EXPECT_THAT(told_, ElementsAre(HasSubstr("a:2: the gist and what follows it")));
}

TEST_F(WindowWatchTest, HasNothingToSayWithoutAWindowOrAGist) {
  WindowWatch without = watch(0), three = watch(3);
  without.prompt_and_gist(gisted(8, 11), "a", 1);
  without.gist_and_answer(1000, "a", 1);
  three.prompt_and_gist({{1, 2, 3, 4, 5}, {}}, "a", 1);
  EXPECT_THAT(told_, IsEmpty());
}

}  // namespace
}  // namespace gist
