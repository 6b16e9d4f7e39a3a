#include "formats/model/model_directory.h"

#include <algorithm>
#include <cstring>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

class ModelDirectory : public ::testing::Test {
 protected:
  /// gist.json with these members changed; null removes one.
  void write_settings(const nlohmann::json& changes) {
    nlohmann::json content = {{"format", "gist-model"},
                              {"version", "1.0"},
                              {"condition", "gist"},
                              {"gist_tokens", 2},
                              {"template", {"bos", "gist"}}};
    content.merge_patch(changes);
    write_file(directory_ / "gist.json", content.dump());
  }
  void expect_refused(const nlohmann::json& changes, const std::string& message) {
    write_settings(changes);
    expect_error(ErrorKind::data, message, [&] { read_gist_json(directory_.path()); });
    expect_error(ErrorKind::data, "gist.json", [&] { read_gist_json(directory_.path()); });
  }
  const TemporaryDirectory directory_;
};

TEST_F(ModelDirectory, MayHaveNoGistJson) {
  EXPECT_FALSE(read_gist_json(fixtures / "models/stories260K"));
}

TEST_F(ModelDirectory, GistJsonIsReadBackAsItWasWritten) {
  GistSettings settings;
  settings.condition = Condition::neg;
  settings.gist_tokens = 7;
  settings.ignored_tensors = {"a", "b"};
  settings.prompt_template = PromptTemplate::parse({"bos", {{"text", "\xC3\xA9{x}"}}, "gist"}, "");
  write_gist_json(directory_.path(), settings);
  const auto read = read_gist_json(directory_.path());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->condition, Condition::neg);
  EXPECT_EQ(read->gist_tokens, 7);
  EXPECT_EQ(read->ignored_tensors, settings.ignored_tensors);
  EXPECT_EQ(read->prompt_template.json(), settings.prompt_template.json());
}

TEST_F(ModelDirectory, GistJsonOfOneIdAndOneLengthIsOfVersion1_0) {
  write_gist_json(directory_.path(), {});
  const nlohmann::json written = nlohmann::json::parse(content_of(directory_ / "gist.json"));
  EXPECT_EQ(written["version"], "1.0");
  EXPECT_EQ(written["gist_tokens"], 1);
}

TEST_F(ModelDirectory, DistinctIdsAndLengthsAreOfVersion1_1WhichReadersOf1_0Refuse) {
  GistSettings settings;
  settings.gist_tokens = 3;
  settings.distinct_ids = {512, 4};
  write_gist_json(directory_.path(), settings);
  nlohmann::json written = nlohmann::json::parse(content_of(directory_ / "gist.json"));
  EXPECT_EQ(written["version"], "1.1");
  EXPECT_EQ(written["gist_tokens"],
            (nlohmann::json{{"least", 3}, {"most", 3}, {"ids", {512, 513, 514, 515}}}));
  EXPECT_FALSE(written["gist_tokens"].is_number());  // what a reader of 1.0 asks for
  EXPECT_EQ(read_gist_json(directory_.path())->distinct_ids, (GistIds{512, 4}));

  settings.distinct_ids = {};
  settings.least_gist_tokens = 2;
  write_gist_json(directory_.path(), settings);
  written = nlohmann::json::parse(content_of(directory_ / "gist.json"));
  EXPECT_EQ(written["gist_tokens"], (nlohmann::json{{"least", 2}, {"most", 3}}));
  const auto read = read_gist_json(directory_.path());
  EXPECT_EQ(read->least_gist_tokens, 2);
  EXPECT_EQ(read->gist_tokens, 3);
  EXPECT_FALSE(read->distinct_ids.any());
}

TEST_F(ModelDirectory, RefusesLengthsAndIdsThatCanNotBe) {
  for (const char* tokens :
       {R"({})", R"({"least": 1})", R"({"most": 2})", R"({"least": 0, "most": 2})",
        R"({"least": 3, "most": 2})", R"({"least": 1, "most": 1025})",
        R"({"least": "1", "most": 2})", R"({"least": 1, "most": 2, "ids": []})",
        R"({"least": 1, "most": 2, "ids": 7})", R"({"least": 1, "most": 2, "ids": [7]})",
        R"({"least": 1, "most": 2, "ids": [7, 9]})", R"({"least": 1, "most": 2, "ids": [8, 7]})",
        R"({"least": 1, "most": 2, "ids": [-1, 0]})",
        R"({"least": 1, "most": 2, "ids": [2147483647, 2147483648]})",
        R"({"least": 1, "most": 2, "ids": [18446744073709551615, 0]})"}) {
    expect_refused({{"gist_tokens", nlohmann::json::parse(tokens)}}, "1 <= least <= most <= 1024");
  }
}

TEST_F(ModelDirectory, GistJsonMayHaveMoreKeysAndANewerMinorVersion) {
  write_settings({{"version", "1.7"}, {"trained_by", "someone"}});
  EXPECT_EQ(read_gist_json(directory_.path())->gist_tokens, 2);
}

TEST_F(ModelDirectory, RefusesGistJsonOfAnotherFormatOrNewerMajor) {
  expect_refused({{"version", "2.0"}}, "newer");
  expect_refused({{"version", "1"}}, "\"version\"");
  expect_refused({{"version", "1.x"}}, "\"version\"");
  expect_refused({{"version", "-1.0"}}, "\"version\"");
  expect_refused({{"version", 1.0}}, "\"version\"");
  expect_refused({{"format", "other"}}, "\"format\"");
  expect_refused({{"format", nullptr}}, "lacks \"format\"");
}

TEST_F(ModelDirectory, RefusesGistJsonThatLacksOrMistypesAMember) {
  expect_refused({{"condition", "maybe"}}, "gist, pos or neg, found \"maybe\"");
  expect_refused({{"condition", nullptr}}, "lacks \"condition\"");
  expect_refused({{"gist_tokens", nullptr}}, "lacks \"gist_tokens\"");
  expect_refused({{"gist_tokens", 1.5}}, "\"gist_tokens\"");
  expect_refused({{"gist_tokens", -1}}, "\"gist_tokens\"");
  expect_refused({{"gist_tokens", 3'000'000'000}}, "\"gist_tokens\"");
  expect_refused({{"gist_tokens", (1 << 20) + 1}}, "from 1 to 1048576");
  expect_refused({{"ignored_tensors", "x"}}, "\"ignored_tensors\" should be a list");
  expect_refused({{"template", nullptr}}, "lacks \"template\"");
  expect_refused({{"template", {"bos"}}}, "one \"gist\"");
}

TEST_F(ModelDirectory, AllowsNoGistTokensInThePosConditionOnly) {
  expect_refused({{"gist_tokens", 0}}, "from 1 to 1048576");
  expect_refused({{"gist_tokens", 0}, {"condition", "neg"}}, "from 1 to 1048576");
  write_settings({{"gist_tokens", 0}, {"condition", "pos"}});
  EXPECT_EQ(read_gist_json(directory_.path())->gist_tokens, 0);
}

TEST_F(ModelDirectory, NamesLineAndColumnOfAFaultInGistJson) {
  write_file(directory_ / "gist.json", "{\n  \"format\": }");
  expect_error(ErrorKind::data, "gist.json:2:13: ", [&] { read_gist_json(directory_.path()); });
}

TEST_F(ModelDirectory, KeepsUnknownKeysOfConfigJson) {
  const std::string text = R"({"architectures": ["X"], "unknown": {"deep": [1, 2.5]}})";
  write_file(directory_ / "config.json", text);
  EXPECT_EQ(read_config_json(directory_.path()), nlohmann::json::parse(text));
}

TEST_F(ModelDirectory, SaysWhatIsWrongWithConfigJson) {
  const auto read = [&] { read_config_json(directory_.path()); };
  expect_error(ErrorKind::no_input, "config.json", read);
  write_file(directory_ / "config.json", "[]");
  expect_error(ErrorKind::data, "should hold a JSON object, not array", read);
  write_file(directory_ / "config.json", "{\"a\": 1,\n\"a\": 2}");
  expect_error(ErrorKind::data, "config.json:2:3: the key \"a\" is given twice", read);
}

class WrittenModel : public ::testing::Test {
 protected:
  /// stories260K as it is, from its own tensors.
  ModelContent content() {
    ModelContent content;
    content.config = read_config_json(source_);
    for (const auto& [name, entry] : checkpoint_.tensors()) {
      Shape shape;
      shape.rank = static_cast<int>(entry->shape.size());
      std::copy(entry->shape.begin(), entry->shape.end(), shape.dims.begin());
      content.tensors.push_back({name, {entry->data, Dtype::f32, shape}});
    }
    content.settings.gist_tokens = 3;
    content.tokenizer = source_;
    content.gist_tokens = 1;
    content.source = source_;
    return content;
  }
  const std::filesystem::path source_ = fixtures / "models/stories260K";
  const Checkpoint checkpoint_{source_};
  const TemporaryDirectory directory_;
};

TEST_F(WrittenModel, IsReadBack) {
  EXPECT_TRUE(write_model_directory(directory_.path(), content()).empty());
  EXPECT_EQ(read_config_json(directory_.path()), read_config_json(source_));
  EXPECT_EQ(content_of(directory_ / "config.json").substr(0, 22), "{\n  \"architectures\": [");
  EXPECT_EQ(read_gist_json(directory_.path())->gist_tokens, 3);
  EXPECT_EQ(Tokenizer::open(directory_.path()).gist_token(), 512);
  const Checkpoint written(directory_.path());
  ASSERT_EQ(written.tensors().size(), checkpoint_.tensors().size());
  for (const auto& [name, entry] : written.tensors()) {
    const StoredTensor& expected = *checkpoint_.tensors().at(name);
    EXPECT_EQ(entry->shape, expected.shape);
    EXPECT_EQ(std::memcmp(entry->data, expected.data, expected.bytes), 0) << name;
  }
  EXPECT_FALSE(std::filesystem::exists(directory_ / "generation_config.json"));
}

TEST_F(WrittenModel, KeepsTheSourcesGenerationConfig) {
  const TemporaryDirectory source;
  write_file(source / "generation_config.json", "{\"temperature\": 0.60}");
  ModelContent changed = content();
  changed.source = source.path();
  EXPECT_TRUE(write_model_directory(directory_.path(), changed).empty());
  EXPECT_EQ(content_of(directory_ / "generation_config.json"), "{\"temperature\": 0.60}");
}

TEST_F(WrittenModel, IsCutIntoShardsOfTheGivenSize) {
  EXPECT_TRUE(write_model_directory(directory_.path(), content(), 500'000).empty());
  EXPECT_TRUE(std::filesystem::exists(directory_ / "model-00001-of-00003.safetensors"));
  EXPECT_EQ(Checkpoint(directory_.path()).tensors().size(), checkpoint_.tensors().size());
}

TEST_F(WrittenModel, SaysWhatOfTheTokenizerWasLeftOut) {
  const TemporaryDirectory source;
  std::filesystem::copy_file(source_ / "tokenizer.model", source / "tokenizer.model");
  write_file(source / "tokenizer.json", "{}");
  ModelContent changed = content();
  changed.tokenizer = source.path();
  EXPECT_EQ(write_model_directory(directory_.path(), changed),
            std::vector<std::string>{"tokenizer.json"});
}

}  // namespace
}  // namespace gist
