#include "formats/sequences/completion_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/formats/word_model.h"

namespace gist {
namespace {

using testing::WordModel;

TEST(CompletionText, OfATextIsExactlyWhatFollowsIt) {
  const WordModel model;
  const Tokenizer& tokenizer = model.files.tokenizer;
  Context context;
  context.sequence.ids = tokenizer.encode("cat, lake");
  context.text_bytes = tokenizer.decode(context.sequence.ids).size();
  std::vector<std::int32_t> added = tokenizer.encode("red");
  EXPECT_EQ(completion_text(tokenizer, context, added), " red");
  context.text_bytes.reset();  // an answer has no text before it
  EXPECT_EQ(completion_text(tokenizer, context, added), "red");
}

TEST(CompletionText, EndsAtTheFirstOfItsStopStrings) {
  const std::vector<std::string> stops{"\n\n", "END"};
  EXPECT_EQ(find_stop("a END b\n\n", stops), 2u);
  EXPECT_EQ(find_stop("a\n\nEND", stops), 1u);
  EXPECT_EQ(find_stop("a EN", stops), std::string_view::npos);
  EXPECT_EQ(find_stop("a", {}), std::string_view::npos);
}

TEST(CompletionText, HoldsBackWhatMayStillChange) {
  const std::vector<std::string> stops{"END"};
  EXPECT_EQ(settled_bytes("abc", {}), 3u);
  EXPECT_EQ(settled_bytes("abE", stops), 2u);
  EXPECT_EQ(settled_bytes("abEN", stops), 2u);
  EXPECT_EQ(settled_bytes("abEx", stops), 4u);
  EXPECT_EQ(settled_bytes("ab\xEF\xBF\xBD", {}), 2u);  // U+FFFD: the character isn't whole yet
}

}  // namespace
}  // namespace gist
