#include "formats/model/tokenizer.h"

#include "formats/files/sha256.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using Ids = std::vector<std::int32_t>;

/// A directory with the 512-piece vocabulary and other files at will.
class TokenizerFiles : public ::testing::Test {
 protected:
  TokenizerFiles() {
    std::filesystem::copy_file(plain_model / "tokenizer.model", directory_ / "tokenizer.model");
  }
  void write(const std::string& name, const std::string& content) {
    write_file(directory_ / name, content);
  }
  Tokenizer opened() { return Tokenizer::open(directory_.path()); }
  void expect_refused(ErrorKind kind, const std::string& message) {
    expect_error(kind, message, [&] { opened(); });
  }
  const TemporaryDirectory directory_;
};

TEST(Tokenizer, EncodesWithoutBosAndEosAndDecodesBack) {
  const Tokenizer tokenizer = Tokenizer::open(plain_model);
  const Ids ids = tokenizer.encode("Once upon a time");
  EXPECT_THAT(ids, ElementsAre(403, 407, 261, 378));
  EXPECT_EQ(tokenizer.decode(ids), "Once upon a time");
}

TEST(Tokenizer, FallsBackToBytesAndDecodesThem) {
  const Tokenizer tokenizer = Tokenizer::open(plain_model);
  const std::string text = "\xC3\x89t\xC3\xA9 \xE2\x80\x94 \xF0\x9F\x90\x88";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
}

TEST(Tokenizer, EncodesEmptyTextToNothing) {
  EXPECT_TRUE(Tokenizer::open(plain_model).encode("").empty());
}

TEST(Tokenizer, TakesSpecialTokensInTextForText) {
  const Tokenizer tokenizer = Tokenizer::open(gist_model);
  for (const std::string text : {"<GIST>", "<s>", "</s>", "a <GIST> b"}) {
    const Ids ids = tokenizer.encode(text);
    EXPECT_THAT(ids, ::testing::Each(::testing::AllOf(::testing::Ne(*tokenizer.gist_token()),
                                                      ::testing::Ne(*tokenizer.bos()),
                                                      ::testing::Ne(*tokenizer.eos()))));
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

TEST(Tokenizer, RefusesInvalidUtf8) {
  expect_error(ErrorKind::data, "not valid UTF-8",
               [] { Tokenizer::open(plain_model).encode("a\xFF"); });
}

TEST(Tokenizer, DecodesControlAndAddedTokensToNothing) {
  const Tokenizer tokenizer = Tokenizer::open(gist_model);
  EXPECT_EQ(tokenizer.decode(Ids{1, 403, 512, 407, 2}), "Once upon");
  EXPECT_EQ(tokenizer.decode(Ids{}), "");
}

TEST(Tokenizer, DecodesRowsWithoutATokenToNothing) {
  const Tokenizer tokenizer = Tokenizer::open(plain_model);
  EXPECT_EQ(tokenizer.decode(Ids{403, 512, 407, 32127}), "Once upon");
  expect_error(ErrorKind::internal, "-1", [&] { tokenizer.decode(Ids{-1}); });
}

TEST(Tokenizer, KnowsItsSpecialTokens) {
  const Tokenizer plain = Tokenizer::open(plain_model);
  EXPECT_EQ(plain.bos(), 1);
  EXPECT_EQ(plain.eos(), 2);
  EXPECT_EQ(plain.size(), 512);
  EXPECT_EQ(plain.gist_token(), std::nullopt);
  const Tokenizer gist = Tokenizer::open(gist_model);
  EXPECT_EQ(gist.size(), 513);
  EXPECT_EQ(gist.gist_token(), 512);
}

TEST(Tokenizer, FindsPiecesByName) {
  const Tokenizer tokenizer = Tokenizer::open(gist_model);
  EXPECT_EQ(tokenizer.id_of_piece("</s>"), 2);
  EXPECT_EQ(tokenizer.id_of_piece("<unk>"), 0);
  EXPECT_EQ(tokenizer.id_of_piece("<GIST>"), 512);
  EXPECT_EQ(tokenizer.id_of_piece("no such piece"), std::nullopt);
}

TEST(Tokenizer, IsFingerprintedByItsVocabularyFile) {
  const Tokenizer tokenizer = Tokenizer::open(gist_model);
  EXPECT_EQ(tokenizer.path(), gist_model / "tokenizer.model");
  EXPECT_EQ(tokenizer.sha256(), to_hex(sha256_of_file(gist_model / "tokenizer.model")));
}

TEST_F(TokenizerFiles, AddedTokensContinueTheVocabulary) {
  write("added_tokens.json", R"({"<GIST>": 513, "<pad>": 512})");
  const Tokenizer tokenizer = opened();
  EXPECT_EQ(tokenizer.size(), 514);
  EXPECT_EQ(tokenizer.gist_token(), 513);
  EXPECT_EQ(tokenizer.id_of_piece("<pad>"), 512);
}

TEST_F(TokenizerFiles, AddedTokensMayRepeatThoseOfTheVocabulary) {
  write("added_tokens.json", R"({"<s>": 1, "<GIST>": 512})");
  EXPECT_EQ(opened().size(), 513);
}

TEST_F(TokenizerFiles, RefusesAddedTokensThatLeaveAGapOrClash) {
  write("added_tokens.json", R"({"<GIST>": 513})");
  expect_refused(ErrorKind::data, "token \"<GIST>\" has id 513, expected 512");
  write("added_tokens.json", R"({"<GIST>": 511})");
  expect_refused(ErrorKind::data, "has id 511");
  write("added_tokens.json", R"({"<GIST>": 512, "<pad>": 512})");
  expect_refused(ErrorKind::data, "token \"<pad>\" has id 512, expected 513");
  write("added_tokens.json", R"({"<s>": 512})");
  expect_refused(ErrorKind::data, "token \"<s>\" has id 512, expected 1");
}

TEST_F(TokenizerFiles, RefusesAddedTokensThatAreNone) {
  write("added_tokens.json", "[]");
  expect_refused(ErrorKind::data, "added_tokens.json");
  write("added_tokens.json", R"({"<GIST>": "512"})");
  expect_refused(ErrorKind::data, "\"<GIST>\" should be a non-negative integer");
  write("added_tokens.json", "{\n!");
  expect_refused(ErrorKind::data, "added_tokens.json:2:1:");
}

TEST_F(TokenizerFiles, T5SentinelsStandBehindTheVocabularyInFallingOrder) {
  write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer"})");
  write("added_tokens.json", R"({"<extra_id_0>": 611, "<GIST>": 612})");
  const Tokenizer tokenizer = opened();
  EXPECT_EQ(tokenizer.id_of_piece("<extra_id_0>"), 611);
  EXPECT_EQ(tokenizer.id_of_piece("<extra_id_99>"), 512);
  EXPECT_EQ(tokenizer.gist_token(), 612);
  EXPECT_EQ(tokenizer.size(), 613);
  EXPECT_EQ(tokenizer.decode(Ids{403, 550, 612}), "Once");
}

TEST_F(TokenizerFiles, T5SentinelsAreAsManyAsTheConfigSays) {
  write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 0})");
  EXPECT_EQ(opened().size(), 512);
  write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": 7})");
  EXPECT_EQ(opened().size(), 519);
  write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer", "extra_ids": 7})");
  EXPECT_EQ(opened().size(), 512);
  write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "extra_ids": -1})");
  expect_refused(ErrorKind::data, "extra_ids");
}

TEST_F(TokenizerFiles, T5SentinelsAreThoseOfTheModelsTypeWhereNoClassIsNamed) {
  write("tokenizer_config.json", R"({"model_max_length": 512})");
  EXPECT_EQ(opened().size(), 512);
  write("config.json", R"({"model_type": "t5"})");
  EXPECT_EQ(opened().size(), 612);
  EXPECT_EQ(opened().id_of_piece("<extra_id_0>"), 611);
  std::filesystem::remove(directory_ / "tokenizer_config.json");
  EXPECT_EQ(opened().size(), 612);
  write("tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizer"})");
  EXPECT_EQ(opened().size(), 512);
}

TEST_F(TokenizerFiles, AddedTokensAreReadWhereverTheyStand) {
  const std::string pad = R"("content": "[PAD]", "special": true)";
  const std::pair<const char*, std::string> files[] = {
      {"added_tokens.json", R"({"[PAD]": 512})"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"512": {)" + pad + "}}}"},
      {"tokenizer.json",
       R"({"added_tokens": [{"id": 1, "content": "<s>"}, {"id": 512, )" + pad + "}]}"},
      {"tokenizer_config.json", R"({"pad_token": "[PAD]"})"},
      {"tokenizer_config.json", R"({"additional_special_tokens": [{"content": "[PAD]"}]})"},
      {"tokenizer_config.json", R"({"extra_special_tokens": ["<s>", "[PAD]"]})"},
      {"special_tokens_map.json", R"({"pad_token": {"content": "[PAD]"}})"}};
  for (const auto& [name, content] : files) {
    write(name, content);
    EXPECT_EQ(opened().id_of_piece("[PAD]"), 512) << name << content;
    EXPECT_EQ(opened().size(), 513) << name << content;
    std::filesystem::remove(directory_ / name);
  }
}

TEST_F(TokenizerFiles, TokensWithARoleGetTheIdsBehindThoseThatAreListed) {
  write("added_tokens.json", R"({"Zebra": 512})");
  write("tokenizer_config.json",
        R"({"additional_special_tokens": ["<x>"], "pad_token": "[PAD]", "eos_token": "</s>"})");
  const Tokenizer tokenizer = opened();
  EXPECT_EQ(tokenizer.id_of_piece("[PAD]"), 513);
  EXPECT_EQ(tokenizer.id_of_piece("<x>"), 514);
  EXPECT_EQ(tokenizer.size(), 515);
}

TEST_F(TokenizerFiles, TokenizerJsonCountsWhereFilesContradictEachOther) {
  write("added_tokens.json", R"({"Zebra": 512, "Okapi": 513})");
  write("tokenizer.json",
        R"({"added_tokens": [{"id": 513, "content": "Zebra"}, {"id": 512, "content": "Okapi"}]})");
  const Tokenizer tokenizer = opened();
  EXPECT_EQ(tokenizer.id_of_piece("Zebra"), 513);
  EXPECT_EQ(tokenizer.id_of_piece("Okapi"), 512);
  EXPECT_THAT(
      tokenizer.warnings(),
      ::testing::ElementsAre(
          ::testing::HasSubstr("token \"Zebra\" has id 513, but another file of the directory "
                               "gives it 512: the former counts"),
          ::testing::HasSubstr("token \"Okapi\" has id 512")));
}

TEST_F(TokenizerFiles, RefusesFilesThatContradictEachOther) {
  write("added_tokens.json", R"({"Zebra": 512})");
  write("tokenizer_config.json", R"({"added_tokens_decoder": {"513": {"content": "Zebra"}}})");
  expect_refused(ErrorKind::data, "token \"Zebra\" has id 513, but another file");
  write("tokenizer_config.json", "{}");
  write("tokenizer.json",
        R"({"added_tokens": [{"id": 512, "content": "Yak"}, {"id": 513, "content": "Yak"}]})");
  expect_refused(ErrorKind::data, "token \"Yak\" has two ids, 512 and 513");
  write("tokenizer.json", R"({"added_tokens": [{"id": 512, "content": "Okapi"}]})");
  expect_refused(ErrorKind::data, "token \"Zebra\" has id 512, expected 513");
}

TEST_F(TokenizerFiles, RefusesSettingsThatAreNone) {
  for (const std::string content :
       {R"({"added_tokens_decoder": {"x": {"content": "a"}}})",
        R"({"added_tokens_decoder": {"512": "a"}})", R"({"added_tokens_decoder": [1]})",
        R"({"eos_token": 2})", R"({"additional_special_tokens": [2]})"}) {
    write("tokenizer_config.json", content);
    expect_refused(ErrorKind::data, "tokenizer_config.json: \"");
  }
}

TEST_F(TokenizerFiles, TheDirectoryNamesItsSpecialTokens) {
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<unk>"}, "eos_token": "<|end|>", "unk_token": null})");
  EXPECT_EQ(opened().bos(), 0);
  EXPECT_EQ(opened().eos(), 512);
  EXPECT_EQ(opened().unk(), 0);
  write("special_tokens_map.json", R"({"unk_token": "</s>"})");
  EXPECT_EQ(opened().unk(), 2);
}

TEST_F(TokenizerFiles, TextsBeginWithBosUnlessTheDirectorySaysOtherwise) {
  EXPECT_TRUE(opened().adds_bos());
  write("tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_FALSE(opened().adds_bos());
  EXPECT_EQ(opened().bos(), 1);
}

TEST_F(TokenizerFiles, AddedWordsDecodeToTheirText) {
  write("added_tokens.json", R"({"<|x|>": 512, "Zebra": 513})");
  write("tokenizer_config.json", R"({"additional_special_tokens": ["<|x|>"]})");
  const Tokenizer tokenizer = opened();
  EXPECT_EQ(tokenizer.decode(Ids{403, 513, 407}), "Once Zebra upon");
  EXPECT_EQ(tokenizer.decode(Ids{403, 512, 513}), "Once Zebra");
  EXPECT_EQ(tokenizer.decode(Ids{513, 513}), "Zebra Zebra");
  EXPECT_EQ(tokenizer.decode(Ids{512}), "");
}

TEST_F(TokenizerFiles, UnknownDecodesToNothingWhereItIsNamed) {
  EXPECT_NE(opened().decode(Ids{403, 0}), "Once");
  write("tokenizer_config.json", R"({"unk_token": "<unk>"})");
  EXPECT_EQ(opened().decode(Ids{403, 0}), "Once");
}

TEST_F(TokenizerFiles, AddedWordsAreFoundInTexts) {
  write("added_tokens.json", R"({"<|x|>": 512, "Zebra": 513, "Zebras": 514})");
  write("tokenizer_config.json", R"({"additional_special_tokens": ["<|x|>"]})");
  const Tokenizer tokenizer = opened();
  const Ids once = tokenizer.encode("Once "), upon = tokenizer.encode(" upon");
  Ids expected = once;
  expected.push_back(514);  // the longest
  expected.insert(expected.end(), upon.begin(), upon.end());
  EXPECT_EQ(tokenizer.encode("Once Zebras upon"), expected);
  EXPECT_THAT(tokenizer.encode("ZebraZebra"), ElementsAre(513, 513));
  EXPECT_THAT(tokenizer.encode("<|x|>"), ::testing::Not(::testing::Contains(512)));
  EXPECT_TRUE(tokenizer.encode("").empty());
}

// What transformers 4.46.3 gives, slow and fast.
TEST_F(TokenizerFiles, NoSpaceStandsBeforeTextsWhereTheDirectorySaysSo) {
  const std::pair<const char*, Ids> cases[] = {
      {"Once upon a time", {441, 416, 331, 407, 261, 378}},
      {" Once upon", {403, 407}},
      {"  two  spaces ", {410, 259, 424, 414, 410, 262, 427, 412, 331, 419, 410}},
      {"\nline", {13, 421, 271, 411}},
      {"", {}},
      {"Zebra upon", {512, 407}},
      {"Once Zebraupon", {441, 416, 331, 410, 512, 425, 427, 289}},
      {"Once \nZebra\n upon", {441, 416, 331, 410, 13, 512, 13, 407}}};
  write("added_tokens.json", R"({"Zebra": 512})");
  for (const char* legacy : {"true", "false"}) {
    write("tokenizer_config.json",
          fmt::format(R"({{"add_prefix_space": false, "legacy": {}}})", legacy));
    const Tokenizer tokenizer = opened();
    for (const auto& [text, ids] : cases) EXPECT_EQ(tokenizer.encode(text), ids) << text;
    for (const std::string text : {"Once upon a time", " Once upon", "  two  spaces ", "\nline"}) {
      EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    }
  }
}

TEST_F(TokenizerFiles, ASpaceStandsBeforeTextsWhereTheDirectoryHasNoOpinion) {
  const Ids once{403, 407, 261, 378};
  for (const char* value : {"true", "null", "\"no\""}) {
    write("tokenizer_config.json", fmt::format(R"({{"add_prefix_space": {}}})", value));
    EXPECT_EQ(opened().encode("Once upon a time"), once) << value;
  }
}

// What transformers 4.46.3 gives, slow and fast.
TEST_F(TokenizerFiles, NoSpaceStandsBehindAddedWordsWhereTheDirectoryIsNotLegacy) {
  write("added_tokens.json", R"({"Zebra": 512})");
  const auto expect = [&](const char* text, const Ids& legacy, const Ids& otherwise) {
    write("tokenizer_config.json", R"({"legacy": true})");
    EXPECT_EQ(opened().encode(text), legacy) << text;
    std::filesystem::remove(directory_ / "tokenizer_config.json");
    EXPECT_EQ(opened().encode(text), legacy) << text;
    write("tokenizer_config.json", R"({"legacy": false})");
    EXPECT_EQ(opened().encode(text), otherwise) << text;
  };
  expect("Once upon a time", {403, 407, 261, 378}, {403, 407, 261, 378});
  expect("Once Zebra upon", {403, 410, 512, 410, 407}, {403, 410, 512, 407});
  expect("Once Zebraupon", {403, 410, 512, 407}, {403, 410, 512, 425, 427, 289});
  expect("Once \nZebra\n upon", {403, 410, 13, 512, 410, 13, 407}, {403, 410, 13, 512, 13, 407});
}

TEST_F(TokenizerFiles, RefusesToGoWithoutTheSpaceWhereTheVocabularyTakesWhiteSpaceOff) {
  std::filesystem::remove(directory_ / "tokenizer.model");
  std::filesystem::copy_file(fixtures / "models/wordtasks-t5-gist/spiece.model",
                             directory_ / "spiece.model");
  write("tokenizer_config.json", R"({"tokenizer_class": "T5Tokenizer", "legacy": false})");
  EXPECT_EQ(opened().size(), 740);
  write("tokenizer_config.json",
        R"({"tokenizer_class": "T5Tokenizer", "add_prefix_space": false})");
  expect_refused(ErrorKind::data, "tokenizer_config.json: \"add_prefix_space\" is false");
  expect_refused(ErrorKind::data, "(spiece.model): set it to true");
}

TEST_F(TokenizerFiles, TextsEndWithoutEosUnlessTheDirectorySaysOtherwise) {
  EXPECT_FALSE(opened().adds_eos());
  write("tokenizer_config.json", R"({"add_eos_token": true})");
  EXPECT_TRUE(opened().adds_eos());
  EXPECT_THAT(opened().encode("Once"), ElementsAre(403));
}

TEST_F(TokenizerFiles, AddedWordsTakeWhiteSpaceAndStandAloneAsTheySay) {
  write("tokenizer_config.json",
        R"({"added_tokens_decoder": {"512": {"content": "Zebra", "lstrip": true, "rstrip": true},
                                     "513": {"content": "Okapi", "single_word": true}}})");
  const Tokenizer tokenizer = opened();
  Ids expected = tokenizer.encode("Once");
  expected.push_back(512);
  for (const std::int32_t id : tokenizer.encode("upon")) expected.push_back(id);
  EXPECT_EQ(tokenizer.encode("Once  Zebra upon"), expected);
  EXPECT_THAT(tokenizer.encode("Okapi"), ElementsAre(513));
  EXPECT_THAT(tokenizer.encode("anOkapi"), ::testing::Not(::testing::Contains(513)));
}

TEST_F(TokenizerFiles, NamesAGitLfsPointer) {
  write("tokenizer.model", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  expect_refused(ErrorKind::data, "tokenizer.model: is a Git LFS pointer");
}

TEST_F(TokenizerFiles, ReadsSpieceModelToo) {
  std::filesystem::rename(directory_ / "tokenizer.model", directory_ / "spiece.model");
  EXPECT_EQ(opened().path().filename(), "spiece.model");
}

TEST_F(TokenizerFiles, AVocabularyFileAloneHasNoAddedTokens) {
  write("added_tokens.json", R"({"<GIST>": 512})");
  std::filesystem::rename(directory_ / "tokenizer.model", directory_ / "words.model");
  const Tokenizer tokenizer = Tokenizer::open(directory_ / "words.model");
  EXPECT_EQ(tokenizer.path(), directory_ / "words.model");
  EXPECT_EQ(tokenizer.size(), 512);
  EXPECT_EQ(tokenizer.unk(), 0);
  EXPECT_EQ(tokenizer.piece_of_id(1), "<s>");
  expect_error(ErrorKind::internal, "512", [&] { tokenizer.piece_of_id(512); });
  expect_error(ErrorKind::no_input, "none.model: can't be opened",
               [&] { Tokenizer::open(directory_ / "none.model"); });
}

TEST_F(TokenizerFiles, SaysThatThereIsNoVocabulary) {
  std::filesystem::remove(directory_ / "tokenizer.model");
  expect_refused(ErrorKind::no_input,
                 "none of tokenizer.model, spiece.model and tokenizer.json is there: copy the "
                 "vocabulary from the base model");
}

TEST_F(TokenizerFiles, RefusesDamagedVocabulariesWithoutAWordOnStderr) {
  const std::string whole = content_of(directory_ / "tokenizer.model");
  for (const std::string& bytes : {std::string(), std::string("garbage"), whole.substr(0, 4000)}) {
    write("tokenizer.model", bytes);
    ::testing::internal::CaptureStderr();
    const std::optional<Error> error = error_of([&] { opened(); });
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
    ASSERT_TRUE(error);
    EXPECT_EQ(error->kind(), ErrorKind::data);
    EXPECT_THAT(error->what(), ::testing::HasSubstr("tokenizer.model"));
  }
}

}  // namespace
}  // namespace gist
