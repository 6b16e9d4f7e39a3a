#include "formats/model/gist_token.h"

#include <array>
#include <nlohmann/json.hpp>

#include "formats/model/tokenizer.h"
#include "tests/formats/test_support.h"
#include "tests/formats/tokenizer_json/golden.h"

namespace gist {
namespace {

using namespace gist::testing;
using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr std::array json_names = {"added_tokens.json", "special_tokens_map.json",
                                   "tokenizer_config.json"};

class GistToken : public ::testing::Test {
 protected:
  GistToken() {
    std::filesystem::create_directory(source_);
    std::filesystem::create_directory(target_);
    std::filesystem::copy_file(plain_model / "tokenizer.model", source_ / "tokenizer.model");
  }
  void source(const std::string& name, const json& content) {
    write_file(source_ / name, content.dump());
  }
  std::vector<std::string> write(std::int32_t gist_tokens = 1) {
    return write_tokenizer(source_, target_, gist_tokens);
  }
  json written(const std::string& name) { return json::parse(content_of(target_ / name)); }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(target_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  void expect_refused(const std::string& message) {
    expect_error(ErrorKind::data, message, [&] { (void)write(); });
  }
  const TemporaryDirectory directory_;
  const std::filesystem::path source_ = directory_ / "source";
  const std::filesystem::path target_ = directory_ / "target";
};

TEST_F(GistToken, IsAddedAsHuggingFaceAddsIt) {
  EXPECT_THAT(write_tokenizer(plain_model, target_, 1), IsEmpty());
  for (const char* name : json_names) {
    EXPECT_EQ(written(name), json::parse(content_of(gist_model / name))) << name;
  }
  EXPECT_EQ(content_of(target_ / "tokenizer.model"), content_of(plain_model / "tokenizer.model"));
  EXPECT_EQ(Tokenizer::open(target_).gist_token(), 512);
}

TEST_F(GistToken, DistinctOnesFollowEachOtherInAllFiles) {
  EXPECT_THAT(write_tokenizer(plain_model, target_, 3), IsEmpty());
  EXPECT_EQ(written("added_tokens.json"),
            json({{"<GIST>", 512}, {"<GIST1>", 513}, {"<GIST2>", 514}}));
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    EXPECT_EQ(written(name)["additional_special_tokens"], json({"<GIST>", "<GIST1>", "<GIST2>"}));
  }
  const Tokenizer tokenizer = Tokenizer::open(target_);
  EXPECT_EQ(tokenizer.gist_ids(), (GistIds{512, 3}));
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{512, 513, 514}), "");
  EXPECT_THAT(tokenizer.encode("<GIST1>"), ::testing::Not(::testing::Contains(513)));
}

TEST_F(GistToken, DistinctOnesAreAddedToTheOneThatIsThere) {
  EXPECT_EQ(gist_ids_in(Tokenizer::open(gist_model), 3), (GistIds{512, 3}));
  EXPECT_THAT(write_tokenizer(gist_model, target_, 3), IsEmpty());
  EXPECT_EQ(Tokenizer::open(target_).gist_ids(), (GistIds{512, 3}));
  const std::filesystem::path again = directory_ / "again";
  std::filesystem::create_directory(again);
  EXPECT_THAT(write_tokenizer(target_, again, 2), IsEmpty());  // the third stays
  EXPECT_EQ(Tokenizer::open(again).gist_ids(), (GistIds{512, 3}));
}

TEST_F(GistToken, NothingMayStandBetweenDistinctOnes) {
  source("added_tokens.json", {{"<GIST>", 512}, {"<x>", 513}});
  EXPECT_EQ(gist_ids_in(Tokenizer::open(source_), 1), (GistIds{512, 1}));
  expect_error(ErrorKind::data, "a token has the id 513 behind <GIST>, where <GIST1> would stand",
               [&] { (void)write_tokenizer(source_, target_, 2); });
}

TEST_F(GistToken, DistinctOnesStandInTokenizerJsonToo) {
  std::filesystem::remove(source_ / "tokenizer.model");
  source("tokenizer.json", golden_kind("llama3")["tokenizer"]);
  source("tokenizer_config.json",
         {{"eos_token", "</s>"}, {"added_tokens_decoder", json::object()}});
  const std::int32_t next = Tokenizer::open(source_).size();
  EXPECT_THAT(write(2), IsEmpty());
  EXPECT_EQ(Tokenizer::open(target_).gist_ids(), (GistIds{next, 2}));
  const json list = written("tokenizer.json")["added_tokens"];
  EXPECT_EQ(list.back()["content"], "<GIST1>");
  EXPECT_EQ(list.back()["id"], next + 1);
  EXPECT_EQ(
      written("tokenizer_config.json")["added_tokens_decoder"][std::to_string(next + 1)]["content"],
      "<GIST1>");
}

TEST_F(GistToken, KeepsTheOrderOfWhatIsThere) {
  EXPECT_THAT(write_tokenizer(plain_model, target_, 1), IsEmpty());
  const std::string before = content_of(plain_model / "special_tokens_map.json");
  const std::string after = content_of(target_ / "special_tokens_map.json");
  EXPECT_TRUE(after.starts_with(before.substr(0, before.find("\n}"))));
}

TEST_F(GistToken, IsNotAddedTwice) {
  EXPECT_THAT(write_tokenizer(gist_model, target_, 1), IsEmpty());
  for (const char* name : json_names) {
    EXPECT_EQ(content_of(target_ / name), content_of(gist_model / name)) << name;
  }
}

TEST_F(GistToken, NothingIsAddedWhereNoneIsWanted) {
  source("tokenizer.json", {{"version", "1.0"}});
  source("tokenizer_config.json", {{"legacy", true}});
  EXPECT_THAT(write(0), IsEmpty());
  EXPECT_THAT(names(),
              UnorderedElementsAre("tokenizer.model", "tokenizer.json", "tokenizer_config.json"));
  EXPECT_EQ(written("tokenizer_config.json"), json({{"legacy", true}}));
}

TEST_F(GistToken, LeavesOutWhatWouldContradictIt) {
  source("tokenizer.json", {{"version", "1.0"}});
  EXPECT_THAT(write(), ElementsAre("tokenizer.json"));
  EXPECT_FALSE(std::filesystem::exists(target_ / "tokenizer.json"));
}

TEST_F(GistToken, StandsBehindOtherAddedAndSpecialTokens) {
  source("added_tokens.json", {{"<x>", 513}, {"[PAD]", 512}});
  source("special_tokens_map.json", {{"additional_special_tokens", {"<x>"}}});
  source("tokenizer_config.json", {{"additional_special_tokens", {"<x>"}}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(written("added_tokens.json"), json({{"<x>", 513}, {"[PAD]", 512}, {"<GIST>", 514}}));
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    EXPECT_EQ(written(name), json({{"additional_special_tokens", {"<x>", "<GIST>"}}}));
  }
  EXPECT_EQ(Tokenizer::open(target_).gist_token(), 514);
}

TEST_F(GistToken, IsSpelledAsOtherSpecialTokensAre) {
  const auto token = [](const char* name) {
    return json{{"content", name},
                {"lstrip", false},
                {"normalized", false},
                {"rstrip", false},
                {"single_word", false}};
  };
  source("special_tokens_map.json", {{"bos_token", token("<s>")}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(written("special_tokens_map.json"),
            json({{"bos_token", token("<s>")}, {"additional_special_tokens", {token("<GIST>")}}}));
}

TEST_F(GistToken, IsDescribedWhereTheConfigDescribesAddedTokens) {
  const json bos = {{"content", "<s>"}, {"special", true}};
  source("tokenizer_config.json", {{"added_tokens_decoder", {{"1", bos}}}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(written("tokenizer_config.json")["added_tokens_decoder"],
            json({{"1", bos},
                  {"512",
                   {{"content", "<GIST>"},
                    {"lstrip", false},
                    {"normalized", false},
                    {"rstrip", false},
                    {"single_word", false},
                    {"special", true}}}}));
}

TEST_F(GistToken, T5sSentinelsAreListedWithIt) {
  source("tokenizer_config.json", {{"tokenizer_class", "T5Tokenizer"}, {"extra_ids", 2}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(written("added_tokens.json"), json({{"<GIST>", 514}}));
  for (const char* name : {"special_tokens_map.json", "tokenizer_config.json"}) {
    EXPECT_EQ(written(name)["additional_special_tokens"],
              json({"<extra_id_0>", "<extra_id_1>", "<GIST>"}));
  }
}

TEST_F(GistToken, StandsBehindTokensThatOtherFilesList) {
  const json pad = {{"content", "[PAD]"}, {"special", true}};
  source("tokenizer_config.json", {{"added_tokens_decoder", {{"512", pad}}}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(written("added_tokens.json"), json({{"[PAD]", 512}, {"<GIST>", 513}}));
  EXPECT_EQ(written("tokenizer_config.json")["added_tokens_decoder"]["512"], pad);
  EXPECT_EQ(Tokenizer::open(target_).gist_token(), 513);
}

TEST_F(GistToken, WhatTokenizerJsonAloneListsIsListedElsewhere) {
  const json bos = {{"id", 1}, {"content", "<s>"}, {"special", true}};
  const json pad = {{"id", 512}, {"content", "[PAD]"}, {"special", true}};
  const json word = {{"id", 513}, {"content", "Zebra"}, {"special", false}};
  source("tokenizer.json", {{"added_tokens", {bos, pad, word}}});
  source("tokenizer_config.json", {{"pad_token", "[PAD]"}});
  EXPECT_THAT(write(), ElementsAre("tokenizer.json"));
  EXPECT_EQ(written("added_tokens.json"), json({{"[PAD]", 512}, {"Zebra", 513}, {"<GIST>", 514}}));
  const json decoder = written("tokenizer_config.json")["added_tokens_decoder"];
  EXPECT_EQ(decoder.size(), 4U);
  EXPECT_EQ(decoder["1"]["content"], "<s>");
  EXPECT_EQ(decoder["513"]["special"], false);
  const Tokenizer tokenizer = Tokenizer::open(target_);
  EXPECT_EQ(tokenizer.gist_token(), 514);
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{512, 513}), "Zebra");
}

TEST_F(GistToken, StandsInTokenizerJsonToo) {
  json pieces = json::object();
  for (int id = 0; id < 512; ++id) pieces["p" + std::to_string(id)] = id;
  const json word = {{"id", 512}, {"content", "Zebra"}, {"special", false}};
  source("tokenizer.json", {{"added_tokens", {word}}, {"model", {{"vocab", pieces}}}});
  source("added_tokens.json", {{"Zebra", 512}, {"okapi", 513}});
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_EQ(Tokenizer::open(target_).gist_token(), 514);
  const json list = written("tokenizer.json")["added_tokens"];
  ASSERT_EQ(list.size(), 3U);
  EXPECT_EQ(list[0], word);
  EXPECT_EQ(list[1]["content"], "okapi");
  EXPECT_EQ(list[2], json({{"id", 514},
                           {"content", "<GIST>"},
                           {"lstrip", false},
                           {"normalized", false},
                           {"rstrip", false},
                           {"single_word", false},
                           {"special", true}}));
}

TEST_F(GistToken, StandsInADirectorysOnlyVocabularyTokenizerJson) {
  std::filesystem::remove(source_ / "tokenizer.model");
  const json& golden = golden_kind("llama3");
  source("tokenizer.json", golden["tokenizer"]);
  source("tokenizer_config.json", {{"eos_token", "</s>"}});
  const std::int32_t next = Tokenizer::open(source_).size();
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_THAT(names(), UnorderedElementsAre("tokenizer.json", "tokenizer_config.json",
                                            "special_tokens_map.json"));
  const Tokenizer tokenizer = Tokenizer::open(target_);
  EXPECT_EQ(tokenizer.gist_token(), next);
  EXPECT_EQ(tokenizer.size(), next + 1);
  EXPECT_EQ(tokenizer.path(), target_ / "tokenizer.json");
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{next}), "");
  EXPECT_EQ(tokenizer.encode("Hello, world!"),
            golden["results"][0][0].get<std::vector<std::int32_t>>());
  EXPECT_THAT(tokenizer.encode("a<GIST>b"), ::testing::Not(::testing::Contains(next)));
  EXPECT_EQ(written("tokenizer.json")["added_tokens"].back()["content"], "<GIST>");

  const std::filesystem::path again = directory_ / "again";
  std::filesystem::create_directory(again);
  EXPECT_THAT(write_tokenizer(source_ / "tokenizer.json", again, 1), IsEmpty());
  EXPECT_EQ(Tokenizer::open(again).gist_token(), next);
}

TEST_F(GistToken, RefusesSettingsThatContradictIt) {
  source("tokenizer_config.json", {{"added_tokens_decoder", 3}});
  expect_refused("\"added_tokens_decoder\" should be an object, not number");
  source("tokenizer_config.json", {{"additional_special_tokens", "<x>"}});
  expect_refused("\"additional_special_tokens\" should be an array, not string");
}

TEST_F(GistToken, AVocabularyFileAloneGetsTheSettingsOfItsModel) {
  std::filesystem::rename(source_ / "tokenizer.model", source_ / "words.model");
  for (const bool with_gist_token : {true, false}) {
    const std::filesystem::path expected = with_gist_token ? gist_model : plain_model;
    const std::filesystem::path target = directory_ / expected.filename().string();
    std::filesystem::create_directory(target);
    EXPECT_THAT(write_tokenizer(source_ / "words.model", target, with_gist_token), IsEmpty());
    for (const char* name : json_names) {
      EXPECT_EQ(content_of(target / name).empty(), content_of(expected / name).empty()) << name;
      if (content_of(expected / name).empty()) continue;
      EXPECT_EQ(json::parse(content_of(target / name)), json::parse(content_of(expected / name)));
    }
    EXPECT_EQ(Tokenizer::open(target).path(), target / "tokenizer.model");
  }
}

TEST_F(GistToken, AVocabularyFileWithoutBosGetsT5sSettings) {
  const std::filesystem::path expected = fixtures / "models/wordtasks-t5-gist";
  std::filesystem::copy_file(expected / "spiece.model", source_ / "words.model");
  EXPECT_THAT(write_tokenizer(source_ / "words.model", target_, 1), IsEmpty());
  for (const char* name : json_names) {
    EXPECT_EQ(written(name), json::parse(content_of(expected / name))) << name;
  }
  EXPECT_EQ(Tokenizer::open(target_).path(), target_ / "spiece.model");
}

TEST_F(GistToken, KeepsTheNameOfADirectorysVocabulary) {
  std::filesystem::rename(source_ / "tokenizer.model", source_ / "spiece.model");
  EXPECT_THAT(write(), IsEmpty());
  EXPECT_TRUE(std::filesystem::exists(target_ / "spiece.model"));
}

}  // namespace
}  // namespace gist
