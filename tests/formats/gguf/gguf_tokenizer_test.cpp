#include "formats/gguf/gguf_tokenizer.h"

#include <sentencepiece_processor.h>

#include "formats/model/gist_token.h"
#include "formats/model/tokenizer.h"
#include "tests/formats/gguf/gguf_bytes.h"
#include "tests/formats/tokenizer_json/golden.h"

namespace gist {
namespace {

using namespace gist::testing;
using nlohmann::json;

enum Type : std::int32_t { normal = 1, unknown, control, user_defined, unused, byte };

/// Tokens and their types as a file lists them.
struct ListedTokens {
  std::vector<std::string> texts;
  std::vector<float> scores;
  std::vector<std::int32_t> types;

  void add(const std::string& text, float score, std::int32_t type) {
    texts.push_back(text);
    scores.push_back(score);
    types.push_back(type);
  }
  void add_to(GgufBytes& file) const {
    file.texts("tokenizer.ggml.tokens", texts);
    file.numbers("tokenizer.ggml.scores", GgufKind::f32, scores);
    file.numbers("tokenizer.ggml.token_type", GgufKind::i32, types);
  }
};

/// As llama.cpp's conversion writes a tokenizer.json's vocabulary, added tokens and merges.
GgufBytes byte_level(const json& content, const std::string& pre) {
  ListedTokens tokens;
  std::map<std::int64_t, std::pair<std::string, std::int32_t>> by_id;
  for (const auto& [text, id] : content["model"]["vocab"].items()) by_id[id] = {text, normal};
  for (const json& token : content["added_tokens"]) {
    by_id[token["id"]] = {token["content"], token["special"].get<bool>() ? control : user_defined};
  }
  for (const auto& [id, token] : by_id) tokens.add(token.first, 0, token.second);
  std::vector<std::string> merges;
  for (const json& merge : content["model"]["merges"]) {
    merges.push_back(merge.is_string()
                         ? merge.get<std::string>()
                         : merge[0].get<std::string>() + " " + merge[1].get<std::string>());
  }
  GgufBytes file;
  tokens.add_to(file);
  return file.text("tokenizer.ggml.model", "gpt2")
      .text("tokenizer.ggml.pre", pre)
      .texts("tokenizer.ggml.merges", merges);
}

/// Without what GGUF files can't say of added tokens.
json plainly_added(json content) {
  for (json& token : content["added_tokens"]) {
    for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"}) token[flag] = false;
  }
  return content;
}

/// As it writes SentencePiece's.
GgufBytes sentencepiece(const std::filesystem::path& path, ListedTokens more = {}) {
  sentencepiece::SentencePieceProcessor processor;
  if (!processor.Load(path.string()).ok()) throw std::runtime_error("no model");
  ListedTokens tokens;
  for (int id = 0; id < processor.GetPieceSize(); ++id) {
    tokens.add(processor.IdToPiece(id), processor.GetScore(id),
               processor.IsUnknown(id)   ? unknown
               : processor.IsControl(id) ? control
               : processor.IsByte(id)    ? byte
                                         : normal);
  }
  for (std::size_t i = 0; i < more.texts.size(); ++i) {
    tokens.add(more.texts[i], more.scores[i], more.types[i]);
  }
  GgufBytes file;
  tokens.add_to(file);
  return file.text("tokenizer.ggml.model", "llama")
      .integer("tokenizer.ggml.bos_token_id", 1)
      .integer("tokenizer.ggml.eos_token_id", 2);
}

class GgufTokenizers : public ::testing::Test {
 protected:
  std::filesystem::path written(const GgufBytes& file) {
    write_file(directory_ / "x.gguf", file.bytes());
    return directory_ / "x.gguf";
  }
  Tokenizer opened(const GgufBytes& file) {
    return Tokenizer::open(written(file), {.trusted = true});
  }
  void refuses(const GgufBytes& file, const std::string& message) {
    expect_error(ErrorKind::data, message, [&] { opened(file); });
  }

  TemporaryDirectory directory_;
};

TEST_F(GgufTokenizers, ByteLevelOnesGiveTheIdsOfTheirSource) {
  const std::pair<const char*, const char*> kinds[] = {
      {"gpt2", "gpt-2"}, {"llama3", "llama-bpe"}, {"qwen2", "qwen2"}, {"smollm2", "smollm"}};
  for (const auto& [name, pre] : kinds) {
    const json content = plainly_added(golden_kind(name)["tokenizer"]);
    write_file(directory_ / "tokenizer.json", content.dump());
    const Tokenizer source = Tokenizer::open(directory_ / "tokenizer.json", {.trusted = true});
    const Tokenizer tokenizer = opened(byte_level(content, pre));
    EXPECT_EQ(tokenizer.size(), source.size()) << name;
    for (const json& line : tokenizer_golden()["lines"]) {
      const std::string text = line;
      const std::vector<std::int32_t> ids = tokenizer.encode(text);
      ASSERT_EQ(ids, source.encode(text)) << name << ": " << text;
      EXPECT_EQ(tokenizer.decode(ids), source.decode(ids)) << name << ": " << text;
    }
  }
}

TEST_F(GgufTokenizers, SentencePiecesGiveTheIdsOfTheirSource) {
  const Tokenizer source = Tokenizer::open(plain_model / "tokenizer.model", {.trusted = true});
  const Tokenizer tokenizer = opened(sentencepiece(plain_model / "tokenizer.model"));
  EXPECT_EQ(tokenizer.size(), source.size());
  EXPECT_EQ(tokenizer.bos(), source.bos());
  EXPECT_EQ(tokenizer.eos(), source.eos());
  EXPECT_TRUE(tokenizer.adds_bos());
  for (const json& line : tokenizer_golden()["lines"]) {
    const std::string text = line;
    const std::vector<std::int32_t> ids = tokenizer.encode(text);
    ASSERT_EQ(ids, source.encode(text)) << text;
    EXPECT_EQ(tokenizer.decode(ids), source.decode(ids)) << text;
  }
}

TEST_F(GgufTokenizers, TokensAtTheEndAreAddedOnesAndPaddingIsNone) {
  ListedTokens more;
  more.add("word", -1000, user_defined);
  more.add("<GIST>", -1000, control);
  more.add("[PAD514]", -10000, unused);
  const Tokenizer tokenizer = opened(sentencepiece(plain_model / "tokenizer.model", more));
  EXPECT_EQ(tokenizer.pieces(), 512);
  EXPECT_EQ(tokenizer.size(), 514);
  EXPECT_EQ(tokenizer.gist_token(), 513);
  EXPECT_THAT(tokenizer.encode("word"), ::testing::ElementsAre(512));
  EXPECT_THAT(tokenizer.encode("<GIST>"), ::testing::Not(::testing::Contains(513)));
  EXPECT_EQ(tokenizer.decode(std::vector<std::int32_t>{512, 513}), "word");
}

TEST_F(GgufTokenizers, BecomeTheFilesOfADirectoryWithAGistToken) {
  for (const bool with_gist : {false, true}) {
    for (const GgufBytes& file : {sentencepiece(plain_model / "tokenizer.model"),
                                  byte_level(golden_kind("llama3")["tokenizer"], "llama-bpe")}) {
      const TemporaryDirectory target;
      const Tokenizer source = opened(file);
      EXPECT_THAT(write_tokenizer(directory_ / "x.gguf", target.path(), with_gist),
                  ::testing::IsEmpty());
      const Tokenizer result = Tokenizer::open(target.path(), {.trusted = true});
      EXPECT_EQ(result.size(), source.size() + (with_gist ? 1 : 0));
      EXPECT_EQ(result.gist_token(),
                with_gist ? std::optional(source.size()) : std::optional<std::int32_t>());
      EXPECT_EQ(result.bos(), source.bos());
      EXPECT_EQ(result.adds_bos(), source.adds_bos());
      for (const json& line : tokenizer_golden()["lines"]) {
        const std::string text = line;
        ASSERT_EQ(result.encode(text), source.encode(text)) << text;
      }
    }
  }
}

TEST_F(GgufTokenizers, WhatGistCannotFollowIsNamed) {
  const json& content = golden_kind("gpt2")["tokenizer"];
  refuses(byte_level(content, "tekken"), "gist knows gpt-2, ");
  refuses(byte_level(content, "tekken"), "found \"tekken\"");
  refuses(byte_level(content, "gpt-2").flag("tokenizer.ggml.normalizer.lowercase", true),
          "\"tokenizer.ggml.normalizer.lowercase\": gist doesn't know what this changes");
  refuses(GgufBytes().text("tokenizer.ggml.model", "t5"), "found \"t5\"");
  refuses(GgufBytes(), "found none");
  refuses(byte_level(content, "gpt-2").integer("tokenizer.ggml.bos_token_id", 1 << 20),
          "\"tokenizer.ggml.bos_token_id\": is 1048576, but there are ");
  refuses(
      GgufBytes().text("tokenizer.ggml.model", "llama").texts("tokenizer.ggml.tokens", {"a", "a"}),
      "token 1, \"a\", should be a text in UTF-8 that comes once");
  refuses(GgufBytes()
              .text("tokenizer.ggml.model", "llama")
              .texts("tokenizer.ggml.tokens", {"a", "b"})
              .numbers<std::int32_t>("tokenizer.ggml.token_type", GgufKind::i32, {1}),
          "has 1 values for 2 tokens");
}

}  // namespace
}  // namespace gist
