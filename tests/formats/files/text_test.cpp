#include "formats/files/text.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

TEST(Text, IsShortenedByCharacters) {
  EXPECT_EQ(shortened("漢字", 2), "漢字");
  EXPECT_EQ(shortened("漢字かな", 2), "漢字…");
  EXPECT_EQ(shortened("\xff\xff\xff", 2), "\xff\xff…");
}

}  // namespace
}  // namespace gist
