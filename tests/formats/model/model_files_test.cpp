#include "formats/model/model_files.h"

#include <gtest/gtest.h>

#include "tests/formats/word_model.h"

namespace gist {
namespace {

namespace fs = std::filesystem;
using testing::expect_error;
using testing::fixtures;
using testing::llama_family;

const fs::path word_model = fixtures / "models/wordtasks-llama-gist";

/// A family whose model has one layer less than its weights.
std::unique_ptr<Family> shallow_family(const nlohmann::json& config, const std::string& where) {
  nlohmann::json shallow = config;
  shallow["num_hidden_layers"] = config["num_hidden_layers"].get<int>() - 1;
  return llama_family(shallow, where);
}

TEST(ModelFiles, AreOpenedWithTheirTokenizerAndSettings) {
  const ModelFiles files(word_model.string(), llama_family);
  EXPECT_EQ(files.tokenizer.gist_token(), 900);
  ASSERT_TRUE(files.settings);
  EXPECT_EQ(files.settings->gist_tokens, 1);
  EXPECT_TRUE(files.ignored_tensors.empty());
}

TEST(ModelFiles, LookAtTheArchitectureFirst) {
  const testing::TemporaryDirectory directory;
  testing::write_file(directory / "config.json", R"({"model_type": "other"})");
  expect_error(ErrorKind::data, "config.json: no family serves it",
               [&] { ModelFiles(directory.path().string(), llama_family); });
}

TEST(ModelFiles, RefuseTensorsThatNothingReads) {
  expect_error(ErrorKind::data, "the checkpoint has 9 tensors that a LlamaForCausalLM doesn't read",
               [&] { ModelFiles(word_model.string(), shallow_family); });
}

TEST(ModelFiles, LeaveOutTensorsThatAPatternNames) {
  const ModelFiles files(word_model.string(), shallow_family, {"model.layers.3.*"});
  EXPECT_EQ(files.ignored_tensors.size(), 9u);
  expect_error(ErrorKind::data, "has 7 tensors", [&] {
    ModelFiles(word_model.string(), shallow_family, {"model.layers.3.*_layernorm.weight"});
  });
}

}  // namespace
}  // namespace gist
