#include "formats/model/checksums.h"

#include "formats/model/safetensors.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

class ChecksumsTest : public ::testing::Test {
 protected:
  ChecksumsTest() {
    Shape shape;
    shape.rank = 1;
    shape.dims[0] = 2;
    const auto* bytes = reinterpret_cast<const std::byte*>(values_);
    write_safetensors_file(directory_ / "w.safetensors", {{"a", {bytes, Dtype::f32, shape}},
                                                          {"b", {bytes + 8, Dtype::f32, shape}}});
    write_file(directory_ / "config.json", "{\"n\": 1}\n");
    write_checksums(directory_.path());
  }
  void verify() { verify_checksums(directory_.path()); }

  static constexpr float values_[] = {1, 2, 3, 4};
  const TemporaryDirectory directory_;
};

TEST_F(ChecksumsTest, WhatWasWrittenIsFine) {
  EXPECT_TRUE(has_checksums(directory_.path()));
  EXPECT_FALSE(error_of([&] { verify(); }));
}

TEST_F(ChecksumsTest, EveryByteCounts) {
  for (const char* name : {"w.safetensors", "config.json", checksums_name}) {
    const std::string whole = content_of(directory_ / name);
    // The text before "files" names the format, in a version that is as good as others.
    const bool all = name != std::string(checksums_name);
    for (std::size_t i = all ? 0 : whole.find("\"files\""); i < whole.size(); ++i) {
      std::string damaged = whole;
      damaged[i] = static_cast<char>(damaged[i] ^ 1);
      write_file(directory_ / name, damaged);
      const auto error = error_of([&] { verify(); });
      ASSERT_TRUE(error) << name << ", byte " << i;
      EXPECT_EQ(error->kind(), ErrorKind::data) << error->what();
    }
    write_file(directory_ / name, whole);
  }
  EXPECT_FALSE(error_of([&] { verify(); }));
}

TEST_F(ChecksumsTest, TheTensorIsNamed) {
  std::string bytes = content_of(directory_ / "w.safetensors");
  bytes.back() = static_cast<char>(bytes.back() ^ 1);
  write_file(directory_ / "w.safetensors", bytes);
  expect_error(ErrorKind::data, "w.safetensors: tensor \"b\" is not what was written",
               [&] { verify(); });
}

TEST_F(ChecksumsTest, AMissingFileIsNamed) {
  std::filesystem::remove(directory_ / "config.json");
  expect_error(ErrorKind::data, "config.json is missing", [&] { verify(); });
}

}  // namespace
}  // namespace gist
