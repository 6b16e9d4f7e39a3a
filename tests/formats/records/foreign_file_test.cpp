#include "formats/records/foreign_file.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using namespace std::string_literals;

void expect_refused(const std::string& bytes, const std::string& message) {
  expect_error(ErrorKind::data, "FILE:1: expected records, found " + message,
               [&] { refuse_foreign_file(bytes, "FILE"); });
}

TEST(ForeignFile, IsNamedByItsFirstBytes) {
  expect_refused("\xFF\xFE{\0"s, "text in UTF-16");
  expect_refused("\xFE\xFF\0{"s, "text in UTF-16");
  expect_refused("\xFF\xFE\0\0{\0\0\0"s, "text in UTF-32");
  expect_refused("{\0\"\0"s, "zero bytes, as text in UTF-16");
  expect_refused("\0{\0\""s, "zero bytes, as text in UTF-16");
  expect_refused("PAR1\x15", "a Parquet file");
  expect_refused("PK\x03\x04", "a zip archive");
  expect_refused("<!DOCTYPE html>", "a page");
}

TEST(ForeignFile, APointerOfGitLfsIsNamedAsEverywhere) {
  expect_error(ErrorKind::data, "FILE:1: is a Git LFS pointer", [] {
    refuse_foreign_file("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "FILE");
  });
}

TEST(ForeignFile, IsNoFileOfRecords) {
  for (const std::string& bytes : {""s, "{"s, "{\"a\": 1}\n"s, "[\n"s, "version of what\n"s, "P"s,
                                   "instruction\tinput\n"s, "\xEF\xBB\xBF{}"s}) {
    EXPECT_NO_THROW(refuse_foreign_file(bytes, "FILE")) << bytes;
  }
}

TEST(PlainText, IsNeitherJsonNorMeantToBe) {
  for (const std::string& text : {"{"s, "[1"s, "\"a"s, "7"s, "null"s, ""s, "  "s, "\xFF"s}) {
    EXPECT_NO_THROW(refuse_plain_text(text, "FILE", 1)) << text;
  }
  expect_error(ErrorKind::data, "FILE:4: ", [] { refuse_plain_text("a b", "FILE", 4); });
}

}  // namespace
}  // namespace gist
