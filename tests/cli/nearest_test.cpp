#include "cli/nearest.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

const std::vector<std::string> options = {"gist-tokens", "batch-tokens", "output",
                                          "input",       "known",        "keep-going"};

TEST(Nearest, AWordOfFewOtherCharactersIsTheName) {
  EXPECT_EQ(nearest("gist-token", options), "gist-tokens");
  EXPECT_EQ(nearest("gist_tokens", options), "gist-tokens");
  EXPECT_EQ(nearest("ouptut", options), "output");
  EXPECT_EQ(nearest("knwon", options), "known");
}

TEST(Nearest, TheNearestNameWins) {
  EXPECT_EQ(nearest("batch-token", options), "batch-tokens");
  EXPECT_EQ(nearest("nput", {"put", "input"}), "put");  // as near as the other, and first
}

TEST(Nearest, ABeginningThatOnlyOneNameHasIsTheName) {
  EXPECT_EQ(nearest("keep", options), "keep-going");
  EXPECT_EQ(nearest("k", options), std::nullopt);
}

TEST(Nearest, AWordThatIsFarFromAllIsNone) {
  EXPECT_EQ(nearest("colour", options), std::nullopt);
  EXPECT_EQ(nearest("", options), std::nullopt);
  EXPECT_EQ(nearest(std::string(1 << 20, 'x'), options), std::nullopt);
}

}  // namespace
}  // namespace gist
