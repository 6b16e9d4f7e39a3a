#include "formats/tokenizer_json/tokenizer_json.h"

#include <functional>
#include <thread>

#include "formats/model/tokenizer.h"
#include "formats/sequences/completion_text.h"
#include "formats/tokenizer_json/known_regex.h"
#include "formats/tokenizer_json/text_pattern.h"
#include "tests/formats/tokenizer_json/golden.h"

namespace gist {
namespace {

using namespace gist::testing;
using nlohmann::json;
using ::testing::ElementsAre;
using Ids = std::vector<std::int32_t>;

/// A tokenizer.json by itself in a directory.
class TokenizerJsonFile : public ::testing::Test {
 protected:
  Tokenizer opened(const json& content) {
    write_file(directory_ / "tokenizer.json", content.dump());
    return Tokenizer::open(directory_.path(), {.trusted = true});
  }
  void expect_refused(const json& content, const std::string& message) {
    expect_error(ErrorKind::data, message, [&] { opened(content); });
  }
  json changed(const char* pointer, const json& value) {
    json content = golden_kind("gpt2")["tokenizer"];
    content[json::json_pointer(pointer)] = value;
    return content;
  }
  const TemporaryDirectory directory_;
};

TEST_F(TokenizerJsonFile, GivesTheIdsAndTextsOfPyPIsTokenizers) {
  const json& lines = tokenizer_golden()["lines"];
  int compared = 0;
  for (const json& kind : tokenizer_golden()["kinds"]) {
    SCOPED_TRACE(kind["name"]);
    const Tokenizer tokenizer = opened(kind["tokenizer"]);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const json& result = kind["results"][i];
      if (result.is_null()) continue;
      const auto line = lines[i].get<std::string>();
      const Ids expected = result[0].get<Ids>();
      EXPECT_EQ(tokenizer.encode(line), expected) << json(line);
      EXPECT_EQ(tokenizer.decode(expected),
                result.size() == 1 ? line : result[1].get<std::string>())
          << json(line);
      ++compared;
    }
  }
  EXPECT_GT(compared, 1500);
}

TEST_F(TokenizerJsonFile, SpecialTokensInTextAreText) {
  for (const json& kind : tokenizer_golden()["kinds"]) {
    SCOPED_TRACE(kind["name"]);
    const Tokenizer tokenizer = opened(kind["tokenizer"]);
    for (const json& token : kind["tokenizer"]["added_tokens"]) {
      if (!token["special"] || tokenizer.unk() == token["id"]) continue;
      const auto text = token["content"].get<std::string>();
      for (const std::string& line : {text, "a " + text + " b", text + text}) {
        EXPECT_THAT(tokenizer.encode(line), ::testing::Not(::testing::Contains(token["id"])))
            << line;
      }
    }
  }
}

TEST_F(TokenizerJsonFile, SeveralThreadsEncodeAtOnce) {
  const json& kind = golden_kind("llama3");
  const Tokenizer tokenizer = opened(kind["tokenizer"]);
  const json& lines = tokenizer_golden()["lines"];
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  for (int& count : wrong) {
    threads.emplace_back([&, result = &count] {
      for (std::size_t i = 0; i < lines.size(); ++i) {
        if (tokenizer.encode(lines[i].get<std::string>()) != kind["results"][i][0].get<Ids>())
          ++*result;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, ::testing::Each(0));
}

TEST_F(TokenizerJsonFile, LongWordsTakeTimeThatGrowsWithThem) {  // quadratic: hours
  for (const char* name : {"gpt2", "qwen2", "t5", "llama", "gemma"}) {
    const Tokenizer tokenizer = opened(golden_kind(name)["tokenizer"]);
    for (const std::string part : {"a", "ab", "\xCC\x81\xCC\xA3", " ", "1"}) {
      std::string text;
      while (text.size() < 400'000) text += part;
      EXPECT_FALSE(tokenizer.encode(text).empty()) << name << part;
    }
  }
}

TEST_F(TokenizerJsonFile, WhatIsSettledStaysAsItIs) {
  for (const char* name : {"gpt2", "t5", "llama", "gemma", "unigram-first"}) {
    const Tokenizer tokenizer = opened(golden_kind(name)["tokenizer"]);
    for (const std::string line :
         {"\xE4\xBD\xA0\xE5\xA5\xBD x \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD!"}) {
      const Ids ids = tokenizer.encode(line);
      const std::string whole = tokenizer.decode(ids);
      std::string before;
      for (std::size_t count = 0; count <= ids.size(); ++count) {
        const std::span<const std::int32_t> some = std::span(ids).first(count);
        const std::string text = tokenizer.decode(some.first(tokenizer.settled(some)));
        const std::string settled = text.substr(0, settled_bytes(text, {}));
        EXPECT_TRUE(settled.starts_with(before)) << name << json(settled);
        EXPECT_TRUE(whole.starts_with(settled)) << name << json(settled);
        before = settled;
      }
    }
  }
}

TEST_F(TokenizerJsonFile, SaysWhetherTextsBeginWithBos) {
  EXPECT_TRUE(opened(golden_kind("llama3")["tokenizer"]).adds_bos());
  EXPECT_EQ(opened(golden_kind("llama3")["tokenizer"]).bos(), 0);
  EXPECT_FALSE(opened(golden_kind("qwen2")["tokenizer"]).adds_bos());
  write_file(directory_ / "tokenizer_config.json",
             R"({"add_bos_token": false, "eos_token": "</s>"})");
  EXPECT_FALSE(opened(golden_kind("llama3")["tokenizer"]).adds_bos());
  EXPECT_EQ(opened(golden_kind("llama3")["tokenizer"]).eos(), 1);
  write_file(directory_ / "tokenizer_config.json", R"({"bos_token": "</s>"})");
  expect_refused(golden_kind("llama3")["tokenizer"], "puts token 0 before a text, but \"</s>\"");
}

TEST_F(TokenizerJsonFile, RefusesByNameWhatItLacks) {
  const auto type = [](const char* name) { return json{{"type", name}}; };
  expect_refused(
      changed("/model/type", "WordPiece"),
      "tokenizer.json: model: is of type \"WordPiece\", which gist doesn't know: it knows "
      "BPE and Unigram");
  expect_refused(changed("/model/type", "WordLevel"), "WordLevel");
  expect_refused(changed("/normalizer", type("BertNormalizer")), "normalizer: is of type \"Bert");
  expect_refused(changed("/pre_tokenizer",
                         {{"type", "Sequence"}, {"pretokenizers", {type("UnicodeScripts")}}}),
                 "pre_tokenizer.pretokenizers[0]: is of type \"UnicodeScripts\"");
  expect_refused(changed("/decoder", type("CTC")), "decoder: is of type \"CTC\"");
  expect_refused(changed("/post_processor", type("BertProcessing")), "post_processor: is of type");
  expect_refused(changed("/model/dropout", 0.1), "model.dropout: expected none");
  expect_refused(changed("/model/new_option", true), "model: has \"new_option\": true");
  expect_refused(changed("/pre_tokenizer/new_option", 1), "pre_tokenizer: has \"new_option\": 1");
  expect_refused(changed("/version", "2.0"), "version: expected \"1.0\"");
}

TEST_F(TokenizerJsonFile, RefusesDamagedVocabularies) {
  expect_refused(changed("/model/vocab", json::object()),
                 "model.vocab: expected an object of pieces");
  expect_refused(changed("/model/vocab/x!", 3), "has the id 3 of");
  expect_refused(changed("/model/vocab/x!", 100'000), "expected a whole number from 0 to");
  expect_refused(changed("/model/vocab/x!", -1), "expected a whole number from 0 to");
  expect_refused(changed("/model/vocab/x!", "a"), "expected a whole number from 0 to");
  expect_refused(changed("/model/merges/0", {"a", "no such piece"}),
                 "model.merges[0]: expected a merge of pieces");
  expect_refused(changed("/model/merges/0", "a b c"), "two texts with a space between them");
  expect_refused(changed("/added_tokens/5/id", 9999), "has id 403, expected 402");
  json content = golden_kind("t5")["tokenizer"];
  content["model"]["vocab"].push_back(content["model"]["vocab"][5]);
  expect_refused(content, "expected each piece once");
  content = golden_kind("t5")["tokenizer"];
  content["normalizer"]["normalizers"][0]["precompiled_charsmap"] = "AAAA";
  expect_refused(content, "its normalisation map is cut off");
}

TEST_F(TokenizerJsonFile, RefusesRegularExpressionsThatAreNone) {
  const auto split = [](const char* regex) {
    return json{{"type", "Split"},
                {"pattern", {{"Regex", regex}}},
                {"behavior", "Isolated"},
                {"invert", false}};
  };
  expect_refused(changed("/pre_tokenizer", split("(a")),
                 "pre_tokenizer.pattern: Oniguruma doesn't understand this regular expression");
  expect_refused(changed("/pre_tokenizer", split("")), "expected a pattern that isn't empty");
  const Tokenizer slow = opened(changed("/pre_tokenizer", split("(x+x+)+y")));
  expect_error(ErrorKind::data, "can't be followed through this text",
               [&] { slow.encode(std::string(60, 'x')); });
}

TEST_F(TokenizerJsonFile, RefusesSequencesThatAreNestedDeeply) {
  json nested = {{"type", "Digits"}, {"individual_digits", true}};
  for (int i = 0; i < 20; ++i) nested = {{"type", "Sequence"}, {"pretokenizers", {nested}}};
  expect_refused(changed("/pre_tokenizer", nested), "sequences that aren't nested this deep");
}

TEST_F(TokenizerJsonFile, IsReadInAProcessOfItsOwnFirst) {
  write_file(directory_ / "tokenizer.json", golden_kind("t5")["tokenizer"].dump());
  EXPECT_GT(Tokenizer::open(directory_.path()).size(), 300);
  EXPECT_GT(Tokenizer::open(directory_ / "tokenizer.json").size(), 300);
}

TEST(KnownRegexes, AreFollowedByHandAsOnigurumaFollowsThem) {
  std::vector<std::string> texts;
  for (const json& line : tokenizer_golden()["lines"]) texts.push_back(line.get<std::string>());
  for (const std::string end :
       {"", " ", "\n", "a", "1", "'", "\xC5\xBF", "\xC3\xA9", "\xE3\x80\x80"}) {
    for (const std::string begin :
         {"'", "'l", "'S", " ", "  ", "\r\n ", " \n", "a", "12", "!?", " !\n"}) {
      texts.push_back(begin + end);
      texts.push_back(begin + end + "b");
    }
  }
  for (const char* name : {"gpt2", "llama3", "qwen2"}) {
    const json& pre_tokenizer = golden_kind(name)["tokenizer"]["pre_tokenizer"];
    std::string regex(gpt2_regex);
    if (pre_tokenizer["type"] != "ByteLevel") {
      regex = pre_tokenizer["pretokenizers"][0]["pattern"]["Regex"].get<std::string>();
    }
    ASSERT_NE(known_regex(regex), KnownRegex::none) << name;
    const TextPattern known(regex), followed("(?:" + regex + ")");
    for (const std::string& text : texts) {
      std::vector<Span> by_hand, by_oniguruma;
      known.find_all(text, by_hand);
      followed.find_all(text, by_oniguruma);
      const auto ends = [](const std::vector<Span>& spans) {
        std::vector<std::size_t> result;
        for (const Span& span : spans) result.push_back(span.end);
        return result;
      };
      EXPECT_EQ(ends(by_hand), ends(by_oniguruma)) << name << json(text);
    }
  }
}

}  // namespace
}  // namespace gist
