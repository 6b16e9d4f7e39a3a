#include <nlohmann/json.hpp>

#include "formats/model/checkpoint.h"
#include "formats/model/safetensors.h"
#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;

constexpr std::size_t no_limit = SIZE_MAX;

const std::string values = "0123456789abcdefghijklmnopqrstuv";

NamedTensor tensor(const std::string& name, Dtype dtype, Shape shape) {
  return {name, {reinterpret_cast<const std::byte*>(values.data()), dtype, shape}};
}

std::vector<std::string> files_in(const TemporaryDirectory& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory.path())) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::uint64_t header_bytes(const std::filesystem::path& path) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, content_of(path).data(), sizeof bytes);
  return bytes;
}

TEST(SafetensorsWrite, IsReadBackAsItWas) {
  const TemporaryDirectory directory;
  write_safetensors(directory.path(),
                    {tensor("half", Dtype::f16, {3}), tensor("matrix", Dtype::f32, {2, 3}),
                     tensor("brain", Dtype::bf16, {1, 1, 2}), tensor("ids", Dtype::i32, {2}),
                     tensor("scalar", Dtype::f32, {}), tensor("empty", Dtype::f32, {0, 4})},
                    no_limit);
  EXPECT_THAT(files_in(directory), ElementsAre("model.safetensors"));
  const TensorFile file = read_safetensors(directory / "model.safetensors");
  ASSERT_EQ(file.tensors.size(), 6U);
  EXPECT_EQ(file.tensors.at("matrix").dtype, "F32");
  EXPECT_THAT(file.tensors.at("matrix").shape, ElementsAre(2, 3));
  EXPECT_EQ(std::memcmp(file.tensors.at("matrix").data, values.data(), 24), 0);
  EXPECT_EQ(file.tensors.at("half").dtype, "F16");
  EXPECT_EQ(std::memcmp(file.tensors.at("half").data, values.data(), 6), 0);
  EXPECT_EQ(file.tensors.at("brain").dtype, "BF16");
  EXPECT_EQ(file.tensors.at("ids").dtype, "I32");
  EXPECT_TRUE(file.tensors.at("scalar").shape.empty());
  EXPECT_EQ(file.tensors.at("empty").bytes, 0U);
}

TEST(SafetensorsWrite, PadsTheHeaderWithSpacesToEightBytesAndAlignsTensors) {
  const TemporaryDirectory directory;
  for (const std::string name : {"a", "ab", "abc", "abcd", "abcde"}) {
    write_safetensors(directory.path(),
                      {tensor(name, Dtype::f16, {1}), tensor("z", Dtype::f32, {1})}, no_limit);
    const std::filesystem::path path = directory / "model.safetensors";
    EXPECT_EQ(header_bytes(path) % 8, 0U);
    const TensorFile file = read_safetensors(path);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(file.tensors.at("z").data) % 4, 0U);
    EXPECT_THAT(content_of(path), ::testing::HasSubstr(R"("__metadata__":{"format":"pt"})"));
  }
}

TEST(SafetensorsWrite, SplitsIntoShardsWithAnIndexAsTransformersDoes) {
  const TemporaryDirectory directory;
  write_safetensors(directory.path(),
                    {tensor("c", Dtype::f32, {4}), tensor("b", Dtype::f32, {1}),
                     tensor("a", Dtype::f32, {8}), tensor("d", Dtype::f32, {1})},
                    20);
  EXPECT_THAT(files_in(directory),
              ElementsAre("model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors",
                          "model-00003-of-00003.safetensors", "model.safetensors.index.json"));
  const auto index = nlohmann::json::parse(content_of(directory / "model.safetensors.index.json"));
  EXPECT_EQ(index["metadata"]["total_size"], 56);
  EXPECT_EQ(index["weight_map"]["c"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["b"], "model-00001-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["a"], "model-00002-of-00003.safetensors");
  EXPECT_EQ(index["weight_map"]["d"], "model-00003-of-00003.safetensors");
  EXPECT_EQ(Checkpoint(directory.path()).tensors().size(), 4U);
}

TEST(SafetensorsWrite, KeepsOneFileWhereTensorsJustFit) {
  const TemporaryDirectory directory;
  write_safetensors(directory.path(), {tensor("a", Dtype::f32, {4}), tensor("b", Dtype::f32, {1})},
                    20);
  EXPECT_THAT(files_in(directory), ElementsAre("model.safetensors"));
}

TEST(SafetensorsWrite, ReplacesAnEarlierWriteWhateverItsShards) {
  const TemporaryDirectory directory;
  const std::vector<NamedTensor> tensors = {tensor("a", Dtype::f32, {4}),
                                            tensor("b", Dtype::f32, {4})};
  write_safetensors(directory.path(), tensors, no_limit);
  write_safetensors(directory.path(), tensors, 16);
  EXPECT_THAT(files_in(directory),
              ElementsAre("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors",
                          "model.safetensors.index.json"));
  write_safetensors(directory.path(), tensors, no_limit);
  EXPECT_THAT(files_in(directory), ElementsAre("model.safetensors"));
}

TEST(SafetensorsWrite, ReproducesAPublishedFileByteForByte) {
  const std::filesystem::path original = fixtures / "models/stories260K-gist";
  const Checkpoint checkpoint(original);
  const WeightSource source = checkpoint.source();
  std::vector<NamedTensor> tensors;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    tensors.push_back({name, *source.find(name)});
  }
  const TemporaryDirectory directory;
  write_safetensors(directory.path(), tensors, no_limit);
  EXPECT_EQ(content_of(directory / "model.safetensors"),
            content_of(original / "model.safetensors"));
}

TEST(SafetensorsWrite, RefusesADirectoryThatIsNotThere) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::cannot_create, "absent", [&] {
    write_safetensors(directory / "absent", {tensor("a", Dtype::f32, {1})}, no_limit);
  });
}

TEST(SafetensorsWrite, RefusesOneNameTwice) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::internal, "\"a\"", [&] {
    write_safetensors(directory.path(),
                      {tensor("a", Dtype::f32, {1}), tensor("a", Dtype::f32, {1})}, no_limit);
  });
}

}  // namespace
}  // namespace gist
