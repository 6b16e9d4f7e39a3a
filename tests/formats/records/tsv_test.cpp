#include "formats/records/tsv.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

using Columns = std::vector<std::string>;

Columns columns(const std::string& header) {
  return tsv_columns(header, "input.tsv", 1);
}

std::string record(const std::string& row) {
  return tsv_record(row, {"id", "instruction"}, "input.tsv", 7);
}

TEST(Tsv, IsNamedByThePathsEnd) {
  for (const char* path : {"a.tsv", "b/a.tsv.gz", "a.tsv.zst"}) EXPECT_TRUE(is_tsv(path)) << path;
  for (const char* path : {"a.jsonl", "a.gz", "tsv", "a.tsv.jsonl", "-"}) {
    EXPECT_FALSE(is_tsv(path)) << path;
  }
}

TEST(Tsv, TheHeaderNamesTheColumns) {
  EXPECT_EQ(columns("id\tinstruction"), (Columns{"id", "instruction"}));
  EXPECT_EQ(columns("instruction"), Columns{"instruction"});
  EXPECT_EQ(columns(" a \t\"b\""), (Columns{" a ", "\"b\""}));
}

TEST(Tsv, ARowIsARecordOfStrings) {
  EXPECT_EQ(record("1\tCount."), R"({"id":"1","instruction":"Count."})");
  EXPECT_EQ(record("\t"), R"({"id":"","instruction":""})");
  EXPECT_EQ(record("ä\t 日本 "), R"({"id":"ä","instruction":" 日本 "})");
}

TEST(Tsv, NothingIsQuotedOrEscaped) {
  EXPECT_EQ(record("\"a\"\t'b\\tc\\n"), R"({"id":"\"a\"","instruction":"'b\\tc\\n"})");
}

TEST(Tsv, RefusesRowsOfAnotherLength) {
  expect_error(ErrorKind::data,
               "input.tsv:7: expected 2 fields with tabs between them, as the header has, found 1",
               [] { record("1"); });
  expect_error(ErrorKind::data, "found 3", [] { record("1\ta\t"); });
  expect_error(ErrorKind::data, "found 1", [] { record(""); });
}

TEST(Tsv, RefusesHeadersWithoutNamesOrWithOneTwice) {
  expect_error(ErrorKind::data, "input.tsv:1: column 1 ", [] { columns(""); });
  expect_error(ErrorKind::data, "input.tsv:1: column 2 ", [] { columns("id\t\tinput"); });
  expect_error(ErrorKind::data, "input.tsv:1: column 2 ", [] { columns("id\t"); });
  expect_error(ErrorKind::data, "input.tsv:1: the header has two columns \"id\"",
               [] { columns("id\tinput\tid"); });
}

TEST(Tsv, RefusesWhatIsNotUtf8) {
  expect_error(ErrorKind::data, "input.tsv:1: not valid UTF-8", [] { columns("id\t\xE9"); });
  expect_error(ErrorKind::data, "input.tsv:7: not valid UTF-8", [] { record("1\t\xE9t\xE9"); });
  expect_error(ErrorKind::data, "input.tsv:1: starts with a byte order mark",
               [] { columns("\xEF\xBB\xBFid\tinstruction"); });
  expect_error(ErrorKind::data, "input.tsv:1: not valid UTF-8", [] { columns("\xFF\xFEi"); });
}

}  // namespace
}  // namespace gist
