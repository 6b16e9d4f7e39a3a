#include "formats/model/torch_file.h"

#include <cstring>

#include "formats/model/checkpoint.h"
#include "formats/model/fingerprint.h"
#include "formats/model/safetensors.h"
#include "formats/model/torch_pickle.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using namespace std::string_literals;

const std::filesystem::path torch_files = fixtures / "torch";  // made by torch_fixtures.py

void expect_torch_error(const char* file, const std::string& message) {
  expect_error(ErrorKind::data, message, [&] { read_torch_file(torch_files / file); });
}

TEST(TorchFile, HasTheTensorsThatTorchWrote) {
  const TensorFile expected = read_safetensors(torch_files / "kinds.safetensors");
  const TensorFile found = read_torch_file(torch_files / "kinds.bin");
  ASSERT_EQ(found.tensors.size(), expected.tensors.size());
  for (const auto& [name, tensor] : expected.tensors) {
    ASSERT_TRUE(found.tensors.contains(name)) << name;
    const StoredTensor& same = found.tensors.at(name);
    EXPECT_EQ(same.dtype, tensor.dtype) << name;
    EXPECT_EQ(same.shape, tensor.shape) << name;
    ASSERT_EQ(same.bytes, tensor.bytes) << name;
    EXPECT_EQ(std::memcmp(same.data, tensor.data, tensor.bytes), 0) << name;
  }
}

TEST(TorchFile, TiedTensorsShareTheirBytesAndOnlyTransposedOnesAreCopied) {
  const TensorFile found = read_torch_file(torch_files / "kinds.bin");
  EXPECT_EQ(found.tensors.at("embed.weight").data, found.tensors.at("head.weight").data);
  EXPECT_EQ(found.copies.size(), 2U);
}

TEST(TorchFile, ReadsParametersAndNewerPickles) {
  for (const char* file : {"parameter.bin", "protocol4.bin"}) {
    const TensorFile found = read_torch_file(torch_files / file);
    ASSERT_EQ(found.tensors.size(), 1U) << file;
    const float values[] = {1, 2};
    EXPECT_EQ(std::memcmp(found.tensors.at("weight").data, values, sizeof values), 0) << file;
  }
}

TEST(TorchFile, WhatIsNoStateDictIsNamed) {
  expect_torch_error("old.bin", "old.bin: is a file of torch before 1.6");
  expect_torch_error("compressed.bin", "entry \"parameter/data.pkl\": is compressed");
  expect_torch_error("training.bin", "training.bin, data.pkl: has a dict under \"model\"");
  expect_torch_error("part.bin", "tensor \"weight\": is a part of a larger tensor");
  expect_torch_error("module.bin", "names \"torch.nn.modules.linear.Linear\"");
  expect_torch_error("kinds.safetensors", "is no file of torch.save");
}

TEST(TorchFile, TruncatedFilesAreRefused) {
  const TemporaryDirectory directory;
  const std::string whole = content_of(torch_files / "parameter.bin");
  const std::size_t end_records = whole.find("PK\6\6");  // from there on it says things twice
  for (std::size_t size = 0; size <= end_records; ++size) {
    write_file(directory / "f.bin", whole.substr(0, size));
    const std::optional<Error> error = error_of([&] { read_torch_file(directory / "f.bin"); });
    ASSERT_TRUE(error) << size;
    EXPECT_EQ(error->kind(), ErrorKind::data) << size;
  }
}

std::string pickle_error(const std::string& pickle) {
  const std::optional<Error> error = error_of([&] { read_state_dict(pickle, "f"); });
  return error ? error->what() : "";
}

TEST(TorchPickle, CodeIsRefusedByItsName) {
  EXPECT_EQ(pickle_error("\x80\x02"
                         "cposix\nsystem\nq\x01X\x02\0\0\0ls\x85R."s),
            "f: byte 16: names \"posix.system\", which a state dict has no need of; gist runs no "
            "code of checkpoints");
  // The same by protocol 4, and as an opcode of protocol 0.
  EXPECT_THAT(pickle_error("\x80\x04\x8c\x05posix\x8c\x06system\x93."s),
              ::testing::HasSubstr("\"posix.system\""));
  EXPECT_THAT(pickle_error("\x80\x02(iposix\nsystem\n."s), ::testing::HasSubstr("opcode 0x69"));
}

TEST(TorchPickle, OperationsOnWhatTheyDoNotFitAreRefused) {
  for (const std::string& pickle : {""s,
                                    "\x80\x07."s,
                                    "."s,
                                    "N."s,
                                    "t."s,
                                    "(N"s,
                                    "R."s,
                                    "NR."s,
                                    ")R."s,
                                    "))R."s,
                                    "u."s,
                                    "}Ns."s,
                                    "}(Nu."s,
                                    "h\0."s,
                                    "NQ."s,
                                    ")Q."s,
                                    "Nb."s,
                                    "}K\1K\1s."s,
                                    "ctorch\nFloatStorage\n)R."s,
                                    "ccollections\nOrderedDict\nN\x85R."s,
                                    "ctorch._utils\n_rebuild_tensor_v2\n)R."s,
                                    "ctorch._utils\n_rebuild_parameter\nN\x85R."s,
                                    "X\xff\xff\xff\xff."s,
                                    "\x8a\x09\1\1\1\1\1\1\1\1\1."s,
                                    "(r\xff\xff\xff\xff."s,
                                    "}X\1\0\0\0aNs."s,
                                    "}\x8c\1\xff\x8c\1as."s}) {
    EXPECT_NE(pickle_error(pickle), "") << ::testing::PrintToString(pickle);
  }
  EXPECT_EQ(pickle_error("}."), "");
}

TEST(TorchPickle, ADictInItselfIsRefused) {
  EXPECT_NE(pickle_error("}q\0X\1\0\0\0ah\0s."s), "");
}

/// ("storage", torch.FloatStorage, "0", "cpu", 4)
const std::string storage_of_4 =
    "(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0000X\3\0\0\0cpuK\4tQ"s;

std::string tensor_pickle(const std::string& storage, const std::string& view) {
  return "}X\1\0\0\0wctorch._utils\n_rebuild_tensor_v2\n("s + storage + view + "tRs.";
}

TEST(TorchPickle, DescribesAView) {
  const std::string pickle = tensor_pickle(storage_of_4, "K\1K\3\x85K\1\x85"s);
  const auto tensors = read_state_dict(pickle, "f");
  const PickledTensor& tensor = tensors.at("w");
  EXPECT_EQ(tensor.dtype, "F32");
  EXPECT_EQ(tensor.storage, "0");
  EXPECT_EQ(tensor.storage_elements, 4);
  EXPECT_EQ(tensor.offset, 1);
  EXPECT_THAT(tensor.shape, ::testing::ElementsAre(3));
  EXPECT_THAT(tensor.strides, ::testing::ElementsAre(1));
}

TEST(TorchPickle, NumbersThatNoViewHasAreRefused) {
  EXPECT_THAT(pickle_error(tensor_pickle(storage_of_4, "J\xff\xff\xff\xffK\3\x85K\1\x85"s)),
              ::testing::HasSubstr("a tensor's offset is negative: -1"));
  EXPECT_THAT(pickle_error(tensor_pickle(storage_of_4, "K\0J\xff\xff\xff\xff\x85K\1\x85"s)),
              ::testing::HasSubstr("negative"));
  EXPECT_THAT(pickle_error(tensor_pickle(storage_of_4, "K\0K\3\x85)"s)),
              ::testing::HasSubstr("1 dimensions with 0 strides"));
  EXPECT_THAT(pickle_error(tensor_pickle("N", "K\0)))"s)),
              ::testing::HasSubstr("a tensor's storage should be a storage, but is None"));
}

TEST(TorchPickle, AMillionValuesAreTooMany) {
  EXPECT_THAT(pickle_error(std::string(1'100'000, 'N') + "}."), ::testing::HasSubstr("more than"));
}

class BinCheckpoint : public ::testing::Test {
 protected:
  void copy(const char* file, const char* name) {
    std::filesystem::copy_file(torch_files / file, directory_ / name);
  }
  const TemporaryDirectory directory_;
};

TEST_F(BinCheckpoint, IsTheSameModelAsInSafetensors) {
  copy("kinds.bin", "pytorch_model.bin");
  const Checkpoint torch(directory_.path());
  const TemporaryDirectory other;
  std::filesystem::copy_file(torch_files / "kinds.safetensors", other / "model.safetensors");
  EXPECT_EQ(compute_model_sha256(torch), compute_model_sha256(Checkpoint(other.path())));
}

TEST_F(BinCheckpoint, ConvertsF64) {
  copy("kinds.bin", "pytorch_model.bin");
  const Checkpoint checkpoint(directory_.path());
  const WeightSource source = checkpoint.source();
  const std::optional<HostTensor> wide = source.find("wide");
  ASSERT_TRUE(wide);
  EXPECT_EQ(wide->dtype, Dtype::f32);
  EXPECT_EQ(wide->shape, (Shape{3}));
  const float expected[] = {0.1F, -0.0F, 3.0F};
  EXPECT_EQ(std::memcmp(wide->data, expected, sizeof expected), 0);
  source.done("wide");
}

TEST_F(BinCheckpoint, ReadsTheShardsOfAnIndex) {
  copy("kinds.bin", "pytorch_model-00001-of-00002.bin");
  copy("parameter.bin", "pytorch_model-00002-of-00002.bin");
  std::string map = R"("weight":"pytorch_model-00002-of-00002.bin")";
  for (const auto& [name, tensor] : read_torch_file(torch_files / "kinds.bin").tensors) {
    map += fmt::format(R"(,"{}":"pytorch_model-00001-of-00002.bin")", name);
  }
  write_file(directory_ / "pytorch_model.bin.index.json", R"({"weight_map":{)" + map + "}}");
  const Checkpoint checkpoint(directory_.path());
  EXPECT_EQ(checkpoint.files().size(), 2U);
  EXPECT_EQ(checkpoint.tensors().count("weight"), 1U);
  EXPECT_EQ(checkpoint.tensors().count("number"), 1U);
}

TEST_F(BinCheckpoint, GivesWayToSafetensors) {
  write_file(directory_ / "pytorch_model.bin", "not looked at");
  std::filesystem::copy_file(torch_files / "kinds.safetensors", directory_ / "model.safetensors");
  EXPECT_NO_THROW(Checkpoint{directory_.path()});
}

}  // namespace
}  // namespace gist
