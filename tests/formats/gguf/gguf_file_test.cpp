#include "formats/gguf/gguf_file.h"

#include <cmath>

#include "formats/model/safetensors.h"
#include "tests/formats/gguf/gguf_bytes.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

class GgufFiles : public ::testing::Test {
 protected:
  GgufFile read(const std::string& bytes) {
    write_file(directory_ / "x.gguf", bytes);
    return read_gguf_file(directory_ / "x.gguf");
  }
  void refuses(const GgufBytes& file, const std::string& message) {
    expect_error(ErrorKind::data, message, [&] { read(file.bytes()); });
  }

  TemporaryDirectory directory_;
};

std::string floats(std::size_t count) {
  return std::string(4 * count, '\1');
}

TEST_F(GgufFiles, HaveMetadataAndTensors) {
  const GgufFile file = read(GgufBytes()
                                 .text("a", "text")
                                 .integer("b", 7)
                                 .real("c", 1e-5F)
                                 .flag("d", true)
                                 .texts("e", {"x", "", "yz"})
                                 .numbers<std::int32_t>("f", GgufKind::i32, {-1, 2})
                                 .tensor("t", {3, 2}, 0, floats(6))
                                 .tensor("u", {32}, 8, std::string(34, '\2'))
                                 .bytes());
  EXPECT_EQ(file.text("a"), "text");
  EXPECT_EQ(file.integer("b"), 7);
  EXPECT_EQ(file.number("b"), 7.0);
  EXPECT_EQ(file.number("c"), 1e-5) << "the number that the float was written for";
  EXPECT_EQ(file.flag("d"), true);
  EXPECT_THAT(*file.texts("e"), ::testing::ElementsAre("x", "", "yz"));
  EXPECT_THAT(*file.numbers("f"), ::testing::ElementsAre(-1, 2));
  EXPECT_EQ(file.text("none"), std::nullopt);
  const GgufTensor& tensor = file.tensors.find("t")->second;
  EXPECT_STREQ(tensor.type->name, "F32");
  EXPECT_THAT(tensor.shape, ::testing::ElementsAre(2, 3));
  EXPECT_EQ(tensor.bytes, 24U);
  EXPECT_EQ(file.tensors.find("u")->second.bytes, 34U);
}

TEST_F(GgufFiles, ValuesOfAnotherKindAreNamed) {
  const GgufFile file = read(GgufBytes().text("a", "x").integer("b", 1).real("nan", NAN).bytes());
  expect_error(ErrorKind::data, "\"a\": should be an integer", [&] { (void)file.integer("a"); });
  expect_error(ErrorKind::data, "\"b\": should be a text", [&] { (void)file.text("b"); });
  expect_error(ErrorKind::data, "\"b\": should be an array of texts",
               [&] { (void)file.texts("b"); });
  expect_error(ErrorKind::data, "\"nan\": should be a finite", [&] { (void)file.number("nan"); });
}

TEST_F(GgufFiles, OtherVersionsAreNamed) {
  GgufBytes file;
  file.version = 1;
  refuses(file, "is a GGUF file of version 1; gist reads versions 2 and 3: convert");
  file.version = 4;
  refuses(file, "of version 4");
  file.version = 0x03000000;
  refuses(file, "big-endian");
  file.version = 2;
  EXPECT_NO_THROW(read(file.bytes()));
  expect_error(ErrorKind::data, "is no GGUF file", [&] { read("GGUX"); });
}

TEST_F(GgufFiles, AreRefusedWhereTheyContradictThemselves) {
  refuses(GgufBytes().integer("a", 1).integer("a", 1), "has the key \"a\" twice");
  refuses(GgufBytes().tensor("t", {2}, 0, floats(2)).tensor("t", {2}, 0, floats(2)),
          "tensor \"t\": comes twice");
  refuses(GgufBytes().tensor("t", {2}, 0, floats(2)).tensor_at("u", {2}, 0, floats(2), 4),
          "tensor \"u\": overlaps tensor \"t\"");
  refuses(GgufBytes().tensor_at("t", {2}, 0, floats(20), 4), "no multiple of 32");
  refuses(GgufBytes().tensor_at("t", {2}, 0, floats(2), 32),
          "takes 8 bytes from 32 of the data's 32");
  refuses(GgufBytes().tensor_at("t", {2}, 0, floats(2), std::uint64_t{0} - 32), "takes 8 bytes");
  refuses(GgufBytes().tensor("t", {std::uint64_t{1} << 62U, 8}, 0, floats(2)), "2^64");
  refuses(GgufBytes().tensor("t", {std::uint64_t{1} << 63U}, 0, floats(2)), "has a dimension of");
  refuses(GgufBytes().tensor("t", {1, 1, 1, 1, 1}, 0, floats(1)), "has 5 dimensions");
  refuses(GgufBytes().tensor("t", {16, 2}, 8, std::string(34, '\1')),
          "aren't whole blocks of Q8_0");
  refuses(GgufBytes().integer("general.alignment", 24), "power of 2, found 24");
  refuses(GgufBytes().integer("split.count", 3), "one of 3 parts of a model");
}

TEST_F(GgufFiles, TypesThatGistCannotReadAreNamed) {
  refuses(GgufBytes().tensor("t", {256}, 13, std::string(176, '\1')),
          "tensor \"t\": is of type Q5_K, which gist can't read: take the model in F32");
  refuses(GgufBytes().tensor("t", {256}, 99, "x"), "is of type 99");
}

TEST_F(GgufFiles, CountsAreHeldAgainstTheFileBeforeAnythingIsAllocated) {
  constexpr std::uint64_t many = std::uint64_t{1} << 60U;
  GgufBytes file;
  file.keys = many;
  refuses(file, "goes beyond the file's");
  file = {};
  file.tensors = many;
  refuses(file, "goes beyond the file's");
  refuses(GgufBytes().array("a", GgufKind::u64, many, "x"),
          "an array of 1152921504606846976 values");
  refuses(GgufBytes().array("a", GgufKind::string, many, ""), "goes beyond the file's");
  refuses(GgufBytes().add("a", GgufKind::string, number_bytes(many)), "goes beyond the file's");
  refuses(GgufBytes().add("a", static_cast<GgufKind>(77), ""), "there is no type of metadata 77");
}

TEST_F(GgufFiles, ArraysAreNestedSoFarOnly) {
  std::string nested = gguf_kind(GgufKind::u8) + number_bytes(std::uint64_t{0});
  for (int i = 0; i < 3; ++i) {
    nested = gguf_kind(GgufKind::array) + number_bytes(std::uint64_t{1}) + nested;
  }
  EXPECT_NO_THROW(read(GgufBytes().add("a", GgufKind::array, nested).bytes()));
  nested = gguf_kind(GgufKind::array) + number_bytes(std::uint64_t{1}) + nested;
  refuses(GgufBytes().add("a", GgufKind::array, nested), "arrays in arrays, more than 4 deep");
}

TEST_F(GgufFiles, TruncatedOnesAreRefused) {
  const std::string whole =
      GgufBytes().text("a", "text").texts("b", {"x", "y"}).tensor("t", {8}, 0, floats(8)).bytes();
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const std::optional<Error> error = error_of([&] { read(whole.substr(0, size)); });
    ASSERT_TRUE(error) << size;
    EXPECT_EQ(error->kind(), ErrorKind::data) << size;
  }
}

/// gguf-py's dequantize() gave the values: tests/interop/gguf_files.py.
TEST(GgufTypes, ValuesAreThoseOfGgufPyBitForBit) {
  const GgufFile file = read_gguf_file(fixtures / "gguf/types.gguf");
  const TensorFile expected = read_safetensors(fixtures / "gguf/types.safetensors");
  ASSERT_EQ(file.tensors.size(), 8U);
  for (const auto& [name, tensor] : file.tensors) {
    EXPECT_EQ(name, tensor.type->name);
    const StoredTensor& values = expected.tensors.at(name);
    std::vector<float> found(values.bytes / sizeof(float));
    ASSERT_EQ(tensor.bytes / tensor.type->bytes * tensor.type->values, found.size()) << name;
    gguf_values(*tensor.type, {tensor.data, tensor.bytes}, found.data());
    EXPECT_EQ(std::memcmp(found.data(), values.data, values.bytes), 0) << name;
  }
}

}  // namespace
}  // namespace gist
