#include "formats/model/checkpoint.h"

#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;

/// A file with tensors of one byte each.
std::string shard(const std::vector<std::string>& names) {
  std::string header;
  for (std::size_t i = 0; i < names.size(); ++i) {
    header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[1],"data_offsets":[{},{}]}})",
                          i == 0 ? "" : ",", names[i], i, i + 1);
  }
  return safetensors_bytes("{" + header + "}", std::string(names.size(), 'x'));
}

class CheckpointTest : public ::testing::Test {
 protected:
  void write(const std::string& name, const std::string& bytes) {
    write_file(directory_ / name, bytes);
  }
  void write_index(const std::string& weight_map) {
    write("model.safetensors.index.json", R"({"metadata":{},"weight_map":)" + weight_map + "}");
  }
  void expect_refused(ErrorKind kind, const std::string& message) {
    expect_error(kind, message, [&] { Checkpoint{directory_.path()}; });
  }
  const TemporaryDirectory directory_;
};

TEST_F(CheckpointTest, ReadsOneFile) {
  const Checkpoint checkpoint(fixtures / "models/stories260K");
  EXPECT_EQ(checkpoint.files().size(), 1U);
  EXPECT_EQ(checkpoint.tensors().count("model.embed_tokens.weight"), 1U);
}

TEST_F(CheckpointTest, ReadsAllShardsThatTheIndexLists) {
  write("one.safetensors", shard({"a", "c"}));
  write("two.safetensors", shard({"b"}));
  write_index(R"({"a":"one.safetensors","b":"two.safetensors","c":"one.safetensors"})");
  const Checkpoint checkpoint(directory_.path());
  std::string names;
  for (const auto& [name, entry] : checkpoint.tensors()) names += name;
  EXPECT_EQ(names, "abc");
}

TEST_F(CheckpointTest, StaysValidWhenMoved) {
  write("model.safetensors", shard({"a"}));
  Checkpoint checkpoint(directory_.path());
  const Checkpoint moved = std::move(checkpoint);
  EXPECT_EQ(static_cast<char>(*moved.tensors().at("a")->data), 'x');
}

TEST_F(CheckpointTest, SaysThatThereAreNoWeights) {
  expect_refused(ErrorKind::no_input, "model.safetensors");
}

TEST_F(CheckpointTest, NamesWeightsOfOtherFormatsAndWhatToDo) {
  for (const char* name : {"consolidated.pth", "tf_model.h5"}) {
    write(name, "x");
    expect_refused(ErrorKind::no_input, std::string("but ") + name + ", which gist can't use");
    expect_refused(ErrorKind::no_input, "save_pretrained");
    std::filesystem::remove(directory_ / name);
  }
  for (const char* name :
       {"pytorch_model-00001-of-00002.bin", "model-00001-of-00002.safetensors"}) {
    write(name, "x");
    expect_refused(ErrorKind::no_input, std::string("though ") + name + " is: copy the index, too");
    std::filesystem::remove(directory_ / name);
  }
}

TEST_F(CheckpointTest, NamesAGitLfsPointer) {
  write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n");
  expect_refused(ErrorKind::data, "model.safetensors: is a Git LFS pointer");
}

TEST_F(CheckpointTest, NamesAMissingShardAndItsIndex) {
  write("one.safetensors", shard({"a"}));
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  expect_refused(ErrorKind::no_input, "two.safetensors: this shard is missing");
  expect_refused(ErrorKind::no_input, "model.safetensors.index.json");
}

TEST_F(CheckpointTest, TakesAnIndexThatListsWhatTheShardsLack) {
  write("one.safetensors", shard({"a"}));
  write_index(R"({"a":"one.safetensors","b":"one.safetensors"})");
  const Checkpoint checkpoint(directory_.path());
  EXPECT_EQ(checkpoint.tensors().size(), 1U);
  EXPECT_FALSE(checkpoint.source().find("b"));
}

TEST_F(CheckpointTest, RefusesATensorThatTheIndexDoesntListUnlessItIsComputed) {
  write("one.safetensors", shard({"a", "x.rotary_emb.inv_freq"}));
  write_index(R"({"a":"one.safetensors"})");
  EXPECT_NO_THROW(Checkpoint{directory_.path()});
  write("one.safetensors", shard({"a", "c"}));
  write_index(R"({"a":"one.safetensors"})");
  expect_refused(ErrorKind::data, "has the tensor \"c\"");
}

TEST_F(CheckpointTest, RefusesATensorInTwoShards) {
  write("one.safetensors", shard({"a"}));
  write("two.safetensors", shard({"a", "b"}));
  write_index(R"({"a":"one.safetensors","b":"two.safetensors"})");
  expect_refused(ErrorKind::data, "lists in one.safetensors");
}

TEST_F(CheckpointTest, RefusesAnIndexThatIsNone) {
  for (const std::string index :
       {"[]", "{}", R"({"weight_map":{}})", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})"}) {
    write("model.safetensors.index.json", index);
    expect_refused(ErrorKind::data, "index.json");
  }
  write("model.safetensors.index.json", "{\n\"weight_map\"");
  expect_refused(ErrorKind::data, "index.json:2:");
}

TEST_F(CheckpointTest, RefusesShardsOutsideTheDirectory) {
  for (const std::string name : {"../one.safetensors", "/one.safetensors", "..", ""}) {
    write_index(R"({"a":")" + name + "\"}");
    expect_refused(ErrorKind::data, "should be mapped to a file's name");
  }
}

TEST_F(CheckpointTest, GivesWeightsToTheModel) {
  const Checkpoint checkpoint(fixtures / "models/stories260K");
  const WeightSource source = checkpoint.source();
  const auto tensor = source.find("model.embed_tokens.weight");
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->dtype, Dtype::f32);
  EXPECT_EQ(tensor->shape, (Shape{512, 64}));
  source.done("model.embed_tokens.weight");
  EXPECT_FALSE(source.find("absent"));
}

TEST_F(CheckpointTest, GivesF64AsF32) {
  const double values[] = {0.1, -1e300};
  write("model.safetensors",
        safetensors_bytes(R"({"d":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})",
                          {reinterpret_cast<const char*>(values), sizeof values}));
  const Checkpoint checkpoint(directory_.path());
  const auto tensor = checkpoint.source().find("d");
  ASSERT_TRUE(tensor);
  EXPECT_EQ(tensor->dtype, Dtype::f32);
}

TEST_F(CheckpointTest, RefusesWeightsOfADtypeOrRankThatNoModelReads) {
  write("model.safetensors",
        safetensors_bytes(R"({"d":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                          R"("r":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[8,12]}})",
                          std::string(12, 'x')));
  const Checkpoint checkpoint(directory_.path());
  expect_error(ErrorKind::data, "tensor \"d\" has dtype I64",
               [&] { checkpoint.source().find("d"); });
  expect_error(ErrorKind::data, "tensor \"r\" has 5 dimensions",
               [&] { checkpoint.source().find("r"); });
}

}  // namespace
}  // namespace gist
