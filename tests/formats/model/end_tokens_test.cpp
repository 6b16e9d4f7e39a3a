#include "formats/model/end_tokens.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

/// A directory with a vocabulary of 512 pieces, whose "</s>" has the id 2.
class EndTokensTest : public ::testing::Test {
 protected:
  EndTokensTest() {
    std::filesystem::copy_file(fixtures / "models/stories260K/tokenizer.model",
                               directory_ / "tokenizer.model");
  }
  void write(const std::string& name, const json& content) {
    write_file(directory_ / name, content.dump());
  }
  EndTokens ends(const json& config = json::object()) {
    return end_tokens(directory_.path(), config, Tokenizer::open(directory_.path()));
  }
  const TemporaryDirectory directory_;
};

TEST_F(EndTokensTest, AreTheVocabularysWhereNothingElseNamesThem) {
  EXPECT_THAT(ends().ids, ElementsAre(2));
  EXPECT_EQ(ends().written, 2);
}

TEST_F(EndTokensTest, AreReadFromTheFirstFileThatNamesThem) {
  write("tokenizer_config.json", {{"eos_token", "<s>"}});
  EXPECT_THAT(ends().ids, ElementsAre(1));
  write("tokenizer_config.json", {{"eos_token", {{"content", "<unk>"}}}});
  EXPECT_THAT(ends().ids, ElementsAre(0));
  EXPECT_THAT(ends({{"eos_token_id", 257}}).ids, ElementsAre(257));
  write("generation_config.json", {{"eos_token_id", {7, 8}}});
  EXPECT_THAT(ends({{"eos_token_id", 257}}).ids, ElementsAre(7, 8));
  for (const json& none : {json({{"eos_token_id", nullptr}}), json({{"eos_token_id", -1}}),
                           json({{"temperature", 0.6}})}) {
    write("generation_config.json", none);
    EXPECT_THAT(ends({{"eos_token_id", {257}}}).ids, ElementsAre(257)) << none;
  }
}

TEST_F(EndTokensTest, AModelLearnsToWriteTheTokenizersWhereThatEndsATextAndElseTheFirst) {
  EXPECT_EQ(ends({{"eos_token_id", {257, 2}}}).written, 2);
  EXPECT_EQ(ends({{"eos_token_id", {257, 258}}}).written, 257);
  EXPECT_EQ(ends({{"eos_token_id", {600, 258}}, {"vocab_size", 512}}).written, 258);
  EXPECT_EQ(ends({{"eos_token_id", 600}, {"vocab_size", 512}}).written, std::nullopt);
}

TEST_F(EndTokensTest, RefusesWhatIsNoId) {
  for (const json& wrong : {json("2"), json(2.5), json({"</s>"}), json(std::int64_t{1} << 40)}) {
    expect_error(ErrorKind::data, "config.json: \"eos_token_id\" should be a token's id", [&] {
      ends({{"eos_token_id", wrong}});
    });
  }
  write("generation_config.json", {{"eos_token_id", "2"}});
  expect_error(ErrorKind::data, "generation_config.json: \"eos_token_id\"", [&] { ends(); });
}

}  // namespace
}  // namespace gist
