#include "formats/model/model_kind.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

class ModelKind : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& content = "{}") {
    write_file(directory_ / name, content);
  }
  void expect_refused(const std::filesystem::path& path, ErrorKind kind,
                      const std::string& message) {
    expect_error(kind, message, [&] { require_model_directory(path); });
  }
  const TemporaryDirectory directory_;
};

TEST_F(ModelKind, ADirectoryWithAConfigurationMayBeAModel) {
  write("config.json");
  EXPECT_NO_THROW(require_model_directory(directory_.path()));
}

TEST_F(ModelKind, ANameOnAHubIsNoPath) {
  expect_refused("org/some-model-7B", ErrorKind::no_input, "hf download org/some-model-7B");
  expect_refused("./org/model", ErrorKind::no_input, "./org/model: there is no such directory; ");
  expect_refused(directory_ / "none", ErrorKind::no_input,
                 "there is no such directory; gist reads");
}

TEST_F(ModelKind, FilesAreNamedByTheirKind) {
  write("model.safetensors", "x");
  expect_refused(directory_ / "model.safetensors", ErrorKind::data,
                 "give the directory that it stands in");
  write("y", "version https://git-lfs.github.com/spec/v1\n");
  expect_refused(directory_ / "y", ErrorKind::data, "is a Git LFS pointer");
  write("z", "something");
  expect_refused(directory_ / "z", ErrorKind::data, "is a file, not a model's directory");
}

TEST_F(ModelKind, DirectoriesOfOtherKindsAreNamed) {
  const std::pair<const char*, const char*> kinds[] = {
      {"params.json", "its publisher's own format"},
      {"model_index.json", "a pipeline of several models"},
      {"adapter_config.json", "is an adapter (adapter_config.json)"}};
  for (const auto& [name, message] : kinds) {
    write(name);
    expect_refused(directory_.path(), ErrorKind::data, message);
    std::filesystem::remove(directory_ / name);
  }
  std::filesystem::create_directory(directory_ / "snapshots");
  std::filesystem::create_directory(directory_ / "refs");
  expect_refused(directory_.path(), ErrorKind::no_input, "/snapshots/*");
  std::filesystem::remove(directory_ / "refs");
  expect_refused(directory_.path(), ErrorKind::no_input, "has no config.json");
}

TEST_F(ModelKind, AGgufFileIsAModelAsIsADirectoryWithOne) {
  write("x.gguf", "GGUF\3");
  EXPECT_EQ(gguf_file_of(directory_ / "x.gguf"), directory_ / "x.gguf");
  EXPECT_EQ(gguf_file_of(directory_.path()), directory_ / "x.gguf");
  EXPECT_NO_THROW(require_model_directory(directory_ / "x.gguf"));
  EXPECT_NO_THROW(require_model_directory(directory_.path()));
  write("y.gguf", "GGUF\3");
  EXPECT_EQ(gguf_file_of(directory_.path()), std::nullopt);
  expect_refused(directory_.path(), ErrorKind::data,
                 "holds 2 GGUF files (x.gguf, y.gguf): give one of them");
}

TEST_F(ModelKind, BesideOtherWeightsGgufFilesAreNoMatter) {
  write("x.gguf", "GGUF\3");
  write("config.json");
  write("model.safetensors");
  EXPECT_EQ(gguf_file_of(directory_.path()), std::nullopt);
  EXPECT_NO_THROW(require_model_directory(directory_.path()));
}

TEST_F(ModelKind, AnAdapterBesideAConfigurationIsOne) {
  write("config.json");
  write("adapter_config.json");
  expect_refused(directory_.path(), ErrorKind::data, "merge it into its base model");
  write("model.safetensors", "x");
  EXPECT_NO_THROW(require_model_directory(directory_.path()));
}

TEST_F(ModelKind, QuantisedWeightsAreRefusedByTheirMethod) {
  expect_error(
      ErrorKind::data, "m/config.json: \"quantization_config\": the weights are quantised (gptq)",
      [] {
        refuse_quantised({{"quantization_config", {{"quant_method", "gptq"}}}}, "m/config.json");
      });
  EXPECT_NO_THROW(refuse_quantised({{"quantization_config", nullptr}}, "m"));
  EXPECT_NO_THROW(refuse_quantised(nlohmann::json::object(), "m"));
}

}  // namespace
}  // namespace gist
