#include "formats/model/adapter_directory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/model/named_templates.h"
#include "formats/model/tokenizer.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using nlohmann::json;
using testing::expect_error;
using testing::fixtures;
using testing::TemporaryDirectory;
using testing::write_file;

class AdapterDirectory : public ::testing::Test {
 protected:
  void SetUp() override {
    AdapterContent content;
    content.spec = {.rank = 2,
                    .alpha = 3,
                    .dropout = 0.25F,
                    .targets = {"q_proj", "v_proj"},
                    .gist_ids = {512, 2}};
    content.base_path = "some/model";
    content.base_sha256 = std::string(64, 'a');
    content.tensors = {
        {"m.q_proj.lora_A.weight",
         {reinterpret_cast<const std::byte*>(values_), Dtype::f32, {2, 2}}},
        {"m.table.gist_rows", {reinterpret_cast<const std::byte*>(values_), Dtype::f32, {2, 2}}}};
    content.settings.gist_tokens = 2;
    content.settings.distinct_ids = {512, 2};
    content.settings.prompt_template = decoder_template();
    content.tokenizer = fixtures / "models/stories260K";
    EXPECT_TRUE(write_adapter_directory(directory_.path(), content).empty());
  }
  json config() const { return json::parse(testing::content_of(path())); }
  std::filesystem::path path() const { return directory_ / "adapter_config.json"; }
  void expect_refused(const std::function<void(json&)>& change, const std::string& words) {
    json changed = written_;
    change(changed);
    write_file(path(), changed.dump());
    expect_error(ErrorKind::data, words, [&] { AdapterFiles files(directory_.path()); });
  }

  const float values_[4] = {1, 2, 3, 4};
  TemporaryDirectory directory_;
  json written_;
};

TEST_F(AdapterDirectory, IsReadAsItWasWritten) {
  const AdapterFiles files(directory_.path());
  EXPECT_EQ(files.spec.rank, 2);
  EXPECT_EQ(files.spec.alpha, 3);
  EXPECT_EQ(files.spec.dropout, 0.25F);
  EXPECT_EQ(files.spec.targets, (std::vector<std::string>{"q_proj", "v_proj"}));
  EXPECT_EQ(files.spec.gist_ids, (GistIds{512, 2}));
  EXPECT_EQ(files.base_sha256, std::string(64, 'a'));
  const auto& tensors = files.checkpoint.tensors();
  ASSERT_EQ(tensors.size(), 2U);
  EXPECT_TRUE(tensors.contains("base_model.model.m.q_proj.lora_A.weight"));
  EXPECT_TRUE(tensors.contains("base_model.model.m.table.token_adapter.trainable_tokens_delta"));
  for (const char* name : {"m.q_proj.lora_A.weight", "m.table.gist_rows"}) {
    EXPECT_EQ(files.source().find(name).value().shape, (Shape{2, 2})) << name;
  }
  EXPECT_EQ(read_gist_json(directory_.path())->gist_tokens, 2);
  EXPECT_EQ(Tokenizer::open(directory_.path()).gist_ids(), (GistIds{512, 2}));
}

TEST_F(AdapterDirectory, HasTheKeysOfPeft) {
  const json found = config();
  EXPECT_EQ(found["peft_type"], "LORA");
  EXPECT_EQ(found["task_type"], "CAUSAL_LM");
  EXPECT_EQ(found["r"], 2);
  EXPECT_EQ(found["lora_alpha"], 3);
  EXPECT_EQ(found["target_modules"], json({"q_proj", "v_proj"}));
  EXPECT_EQ(found["bias"], "none");
}

TEST_F(AdapterDirectory, OfAnotherKindIsRefusedByTheKeyThatSaysSo) {
  written_ = config();
  expect_refused([](json& c) { c["peft_type"] = "IA3"; }, "peft_type");
  expect_refused([](json& c) { c.erase("peft_type"); }, "peft_type");
  expect_refused([](json& c) { c["use_dora"] = true; }, "use_dora");
  expect_refused([](json& c) { c["use_rslora"] = true; }, "use_rslora");
  expect_refused([](json& c) { c["bias"] = "all"; }, "bias");
  expect_refused([](json& c) { c["rank_pattern"] = {{"q_proj", 4}}; }, "rank_pattern");
  expect_refused([](json& c) { c.erase("gist"); }, "acts on all tokens");
  expect_refused([](json& c) { c["gist"]["rows"] = "all"; }, "acts on all tokens");
}

TEST_F(AdapterDirectory, DamagedIsRefusedByTheKey) {
  written_ = config();
  for (const char* key : {"r", "lora_alpha", "lora_dropout", "target_modules"}) {
    expect_refused([&](json& c) { c.erase(key); }, key);
    expect_refused([&](json& c) { c[key] = json::object(); }, key);
  }
  expect_refused([](json& c) { c["r"] = 0; }, "expected \"r\" of 1 or more");
  expect_refused([](json& c) { c["lora_alpha"] = -1; }, "lora_alpha");
  expect_refused([](json& c) { c["lora_dropout"] = 1; }, "lora_dropout");
  expect_refused([](json& c) { c["gist"]["ids"] = json::array(); }, "ids");
  expect_refused([](json& c) { c["gist"]["ids"] = {5, 7}; }, "follow each other");
  expect_refused([](json& c) { c["gist"]["ids"] = {-1, 0}; }, "ids");
  expect_refused([](json& c) { c["gist"]["ids"] = {2147483647}; }, "ids");
  expect_refused([](json& c) { c["gist"]["ids"] = {4294967808, 4294967809}; }, "ids");
  expect_refused([](json& c) { c["gist"]["ids"] = "512"; }, "ids");
  expect_refused([](json& c) { c["lora_alpha"] = 1e39; }, "lora_alpha");
  expect_refused([](json& c) { c["gist"].erase("base_sha256"); }, "base_sha256");
}

TEST(AdapterFiles, OfADirectoryWithoutAConfigurationIsNoAdapter) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::no_input, "adapter", [&] { AdapterFiles files(directory.path()); });
}

}  // namespace
}  // namespace gist
