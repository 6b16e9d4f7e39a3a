#include "formats/model/safetensors.h"

#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;

class Safetensors : public ::testing::Test {
 protected:
  TensorFile opened(const std::string& header, const std::string& data) {
    write_file(file_, safetensors_bytes(header, data));
    return read_safetensors(file_);
  }
  void expect_refused(const std::string& header, std::size_t data_bytes,
                      const std::string& message) {
    expect_error(ErrorKind::data, message, [&] { opened(header, std::string(data_bytes, 'x')); });
  }
  /// A file whose one tensor "t" is described so.
  void expect_refused_tensor(const std::string& info, const std::string& message) {
    expect_refused(R"({"t": )" + info + "}", 8, message);
    expect_refused(R"({"t": )" + info + "}", 8, "tensor \"t\"");
  }

  const TemporaryDirectory directory_;
  const std::filesystem::path file_ = directory_ / "file.safetensors";
};

TEST_F(Safetensors, ReadsTensorsInAnyOrderAndAlignment) {
  const TensorFile file = opened(
      R"({"b":{"dtype":"F32","shape":[1,1],"data_offsets":[3,7]},)"
      R"("a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"__metadata__":{"format":"pt"}} )",
      "abcWXYZ");
  ASSERT_EQ(file.tensors.size(), 2U);
  const StoredTensor& b = file.tensors.at("b");
  EXPECT_EQ(b.dtype, "F32");
  EXPECT_THAT(b.shape, ElementsAre(1, 1));
  EXPECT_EQ(b.bytes, 4U);
  EXPECT_EQ(std::memcmp(b.data, "WXYZ", 4), 0);
  EXPECT_EQ(std::memcmp(file.tensors.at("a").data, "abc", 3), 0);
}

TEST_F(Safetensors, ReadsScalarsAndEmptyTensors) {
  const TensorFile file = opened(R"({"s":{"dtype":"F16","shape":[],"data_offsets":[0,2]},)"
                                 R"("e":{"dtype":"F32","shape":[0,5],"data_offsets":[0,0]}})",
                                 "xy");
  EXPECT_EQ(file.tensors.at("s").bytes, 2U);
  EXPECT_EQ(file.tensors.at("e").bytes, 0U);
}

TEST_F(Safetensors, ReadsAFileWithoutTensors) {
  EXPECT_TRUE(opened("{}", "").tensors.empty());
}

TEST_F(Safetensors, KeepsEntriesWhereTheyAreWhenMoved) {
  TensorFile file = opened(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})", "x");
  const StoredTensor* entry = &file.tensors.at("a");
  const TensorFile moved = std::move(file);
  EXPECT_EQ(&moved.tensors.at("a"), entry);
  EXPECT_EQ(static_cast<char>(*entry->data), 'x');
}

TEST_F(Safetensors, KeepsValuesWhenPagesAreReleased) {
  const std::string data(100'000, 'x');
  const TensorFile file =
      opened(R"({"a":{"dtype":"U8","shape":[100000],"data_offsets":[0,100000]}})", data);
  const StoredTensor& entry = file.tensors.at("a");
  file.release(entry);
  EXPECT_EQ(std::memcmp(entry.data, data.data(), data.size()), 0);
}

TEST_F(Safetensors, SaysThatAFileIsMissingOrNoFile) {
  expect_error(ErrorKind::no_input, "absent", [&] { read_safetensors(directory_ / "absent"); });
  expect_error(ErrorKind::no_input, "not a regular file",
               [&] { read_safetensors(directory_.path()); });
}

TEST_F(Safetensors, RefusesFilesShorterThanTheirHeader) {
  for (const std::string bytes : {"", "abc", "\x10\0\0\0\0\0\0\0{}"}) {
    write_file(file_, bytes);
    expect_error(ErrorKind::data, file_.string(), [&] { read_safetensors(file_); });
  }
}

TEST_F(Safetensors, RefusesHugeHeaderLengths) {
  for (const char last : {'\x01', '\x7F', '\xFF'}) {
    std::string bytes = safetensors_bytes("{}", "");
    bytes[7] = last;
    write_file(file_, bytes);
    expect_error(ErrorKind::data, "header of", [&] { read_safetensors(file_); });
  }
  // Within the file, but beyond the format's own limit.
  const std::uint64_t length = 100'000'001;
  write_file(file_, std::string(reinterpret_cast<const char*>(&length), sizeof length) + "{}");
  std::filesystem::resize_file(file_, length + 8);
  expect_error(ErrorKind::data, "header of 100000001", [&] { read_safetensors(file_); });
}

TEST_F(Safetensors, RefusesTruncatedFiles) {
  const std::string whole =
      safetensors_bytes(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "12345678");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    write_file(file_, whole.substr(0, size));
    EXPECT_EQ(error_of([&] { read_safetensors(file_); })->kind(), ErrorKind::data) << size;
  }
}

TEST_F(Safetensors, RefusesHeadersThatAreNoJsonObject) {
  expect_refused("[]", 0, "no JSON object");
  expect_refused(" {}", 0, "no JSON object");
  expect_refused("{\"a\":", 0, "header:1:6: not valid JSON");
  expect_refused("{\"a\xFF\":1}", 0, "ill-formed UTF-8");
}

TEST_F(Safetensors, RefusesANameGivenTwice) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},)"
                 R"("a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}})",
                 2, "\"a\" is given twice");
}

TEST_F(Safetensors, RefusesDescriptionsThatLackOrMistypeAMember) {
  expect_refused_tensor("1", "should be described by an object");
  expect_refused_tensor(R"({"shape":[8],"data_offsets":[0,8]})", "\"dtype\"");
  expect_refused_tensor(R"({"dtype":8,"shape":[8],"data_offsets":[0,8]})", "\"dtype\"");
  expect_refused_tensor(R"({"dtype":"U8","data_offsets":[0,8]})", "\"shape\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":8,"data_offsets":[0,8]})", "\"shape\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":["8"],"data_offsets":[0,8]})", "\"shape\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8.0],"data_offsets":[0,8]})", "\"shape\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8]})", "\"data_offsets\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8],"data_offsets":[8]})", "\"data_offsets\"");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8],"data_offsets":[0,4,8]})", "\"data_offsets\"");
}

TEST_F(Safetensors, LeavesTensorsOfUnknownDtypesToTheirReaders) {
  write_file(file_, safetensors_bytes(R"({"a":{"dtype":"F4","shape":[16],"data_offsets":[0,8]},)"
                                      R"("b":{"dtype":"C64","shape":[1],"data_offsets":[8,16]}})",
                                      std::string(16, 'x')));
  const TensorFile file = read_safetensors(file_);
  EXPECT_EQ(file.tensors.at("a").dtype, "F4");
  EXPECT_EQ(file.tensors.at("a").bytes, 8U);
  EXPECT_EQ(file.tensors.at("b").bytes, 8U);
}

TEST_F(Safetensors, RefusesNegativeSizes) {
  expect_refused_tensor(R"({"dtype":"U8","shape":[-8],"data_offsets":[0,8]})", "non-negative");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8],"data_offsets":[-8,0]})", "non-negative");
}

TEST_F(Safetensors, RefusesShapesWhoseProductOverflows) {
  expect_refused_tensor(R"({"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]})",
                        "2^64");
  expect_refused_tensor(R"({"dtype":"F64","shape":[2305843009213693953],"data_offsets":[0,8]})",
                        "2^64");
  expect_refused_tensor(R"({"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,8]})",
                        "below 2^63");
}

TEST_F(Safetensors, RefusesOffsetsThatContradictTheShape) {
  expect_refused_tensor(R"({"dtype":"F32","shape":[3],"data_offsets":[0,8]})", "takes 12 bytes");
  expect_refused_tensor(R"({"dtype":"U8","shape":[8],"data_offsets":[8,0]})", "[begin, end]");
}

TEST_F(Safetensors, RefusesOffsetsOutsideTheFile) {
  expect_refused_tensor(R"({"dtype":"U8","shape":[9],"data_offsets":[0,9]})", "truncated");
  expect_refused_tensor(
      R"({"dtype":"U8","shape":[1],"data_offsets":[9223372036854775806,9223372036854775807]})",
      "truncated");
}

TEST_F(Safetensors, RefusesOverlappingOffsets) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}})",
                 8, "tensor \"b\": starts at byte 3, overlapping");
}

TEST_F(Safetensors, RefusesGapsBetweenBeforeAndAfterTensors) {
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                 R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})",
                 8, "tensor \"b\": starts at byte 5, leaving a gap");
  expect_refused_tensor(R"({"dtype":"U8","shape":[7],"data_offsets":[1,8]})", "gap");
  expect_refused(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 8,
                 "4 bytes follow the last tensor");
}

TEST_F(Safetensors, RefusesMetadataThatIsNoObjectOfStrings) {
  expect_refused(R"({"__metadata__":[]})", 0, "__metadata__");
  expect_refused(R"({"__metadata__":{"a":1}})", 0, "__metadata__");
}

TEST_F(Safetensors, ShowsHostileNamesOnOneLine) {
  expect_refused(R"({"a\nb":{"dtype":8,"shape":[],"data_offsets":[0,0]}})", 0, R"("a\nb")");
}

}  // namespace
}  // namespace gist
