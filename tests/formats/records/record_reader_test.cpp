#include "formats/records/record_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <thread>

#include "formats/records/parallel_records.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_file;

std::vector<std::string> record_ids(const std::string& path) {
  const FieldMap map;
  RecordReader reader(path, map);
  std::vector<std::string> ids;
  while (std::optional<Record> record = reader.next()) {
    ids.push_back(reader.parse(std::move(*record)).string("id"));
  }
  return ids;
}

TEST(RecordSource, TakesRecordsOneByOneFromAFunction) {
  const FieldMap map;
  std::vector<std::string> texts{R"({"id": "a"})", "[]", R"({"id": "a long one"})",
                                 R"({"id": "b"})"};
  std::size_t given = 0;
  const RecordTexts next = [&]() -> std::optional<std::string> {
    if (given == texts.size()) return std::nullopt;
    return texts[given++];
  };
  const RecordSource source = source_of(next, "queue", map, 15);
  EXPECT_EQ(source.parse(*source.next()).string("id"), "a");
  const Record array = *source.next(), cut = *source.next();
  expect_error(ErrorKind::data, "queue:2", [&] { source.parse(array); });
  expect_error(ErrorKind::data, "queue:3: longer than 15 bytes", [&] { source.parse(cut); });
  EXPECT_EQ(source.parse(*source.next()).ordinal, 3U);
  EXPECT_FALSE(source.fraction);
  EXPECT_FALSE(source.next());
}

TEST(RecordReader, KnowsLinesArraysAndTablesByTheirBeginning) {
  const TemporaryDirectory directory;
  write_file(directory / "lines.jsonl", "{\"id\": \"a\"}\n\n{\"id\": \"b\"}\r\n{\"id\": \"c\"}");
  write_file(directory / "array.json", " [{\"id\": \"a\"},\n {\"id\": \"b\"}]\n");
  write_file(directory / "table.tsv", "id\tinput\na\tx\nb\ty\n");
  EXPECT_THAT(record_ids(directory / "lines.jsonl"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(record_ids(directory / "array.json"), ElementsAre("a", "b"));
  EXPECT_THAT(record_ids(directory / "table.tsv"), ElementsAre("a", "b"));
}

TEST(RecordReader, CountsLinesFromOneAndRecordsFromZero) {
  const TemporaryDirectory directory;
  write_file(directory / "r.jsonl", "\n{\"id\": \"a\"}\n\n{\"id\": \"b\"}\n");
  const FieldMap map;
  RecordReader reader(directory / "r.jsonl", map);
  const std::optional<Record> first = reader.next();
  const std::optional<Record> second = reader.next();
  ASSERT_TRUE(first && second);
  EXPECT_EQ(first->line, 2u);
  EXPECT_EQ(first->ordinal, 0u);
  EXPECT_EQ(second->line, 4u);
  EXPECT_EQ(second->ordinal, 1u);
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(RecordReader, RefusesARecordThatIsTooLongWithoutHoldingIt) {
  const TemporaryDirectory directory;
  write_file(directory / "r.jsonl",
             "{\"id\": \"" + std::string(1 << 16, 'a') + "\"}\n{\"id\": \"b\"}\n");
  const FieldMap map;
  RecordReader reader(directory / "r.jsonl", map, -1, 100);
  std::optional<Record> record = reader.next();
  ASSERT_TRUE(record);
  EXPECT_LT(record->text.size(), std::size_t{1} << 16);
  expect_error(ErrorKind::data, "r.jsonl:1: longer than 100 bytes",
               [&] { reader.parse(std::move(*record)); });
  record = reader.next();
  ASSERT_TRUE(record);
  EXPECT_EQ(reader.parse(std::move(*record)).string("id"), "b");
}

/// Two ends of a pipe that nobody writes to; both are closed at the end.
class SilentPipe {
 public:
  SilentPipe() {
    if (::pipe(ends_.data()) != 0) throw std::runtime_error("pipe failed");
  }
  SilentPipe(const SilentPipe&) = delete;
  SilentPipe& operator=(const SilentPipe&) = delete;
  ~SilentPipe() {
    for (const int end : ends_) ::close(end);
  }
  std::string path() const { return "/dev/fd/" + std::to_string(ends_[0]); }
  int read_end() const { return ends_[0]; }
  int write_end() const { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
};

TEST(RecordReader, EndsAReadThatBlocksWhenItIsWoken) {
  const SilentPipe input, wake;
  const FieldMap map;
  RecordReader reader(input.path(), map, wake.read_end());
  std::jthread waker([&wake] { EXPECT_EQ(::write(wake.write_end(), "", 1), 1); });
  EXPECT_EQ(reader.next(), std::nullopt);
}

TEST(ParallelRecords, KeepTheInputsOrderAndRejectInTurn) {
  const TemporaryDirectory directory;
  std::string lines;
  for (int i = 0; i < 2000; ++i) {
    lines += i % 100 == 50 ? "no record\n" : "{\"id\": \"" + std::to_string(i) + "\"}\n";
  }
  write_file(directory / "r.jsonl", lines);
  const FieldMap map;
  RecordReader reader(directory / "r.jsonl", map);
  std::vector<std::uint64_t> order, rejected;
  const auto reject = [&](const Record& record, const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    rejected.push_back(record.ordinal);
    order.push_back(record.ordinal);
  };
  const auto prepare = [](const Record& record) { return record.string("id"); };
  for_each_record(source_of(reader), reject, prepare,
                  [&](const Record& record, const std::string& id) {
                    EXPECT_EQ(id, std::to_string(record.ordinal));
                    order.push_back(record.ordinal);
                  });
  EXPECT_EQ(rejected.size(), 20u);
  ASSERT_EQ(order.size(), 2000u);
  for (std::size_t i = 0; i < order.size(); ++i) EXPECT_EQ(order[i], i);
}

TEST(ParallelRecords, EndWithAnErrorThatIsNotTheRecords) {
  const TemporaryDirectory directory;
  write_file(directory / "r.jsonl", "{\"id\": \"a\"}\n");
  const FieldMap map;
  RecordReader reader(directory / "r.jsonl", map);
  const auto prepare = [](const Record&) -> int { throw Error(ErrorKind::io, "gone"); };
  expect_error(ErrorKind::io, "gone", [&] {
    for_each_record(
        source_of(reader), [](const Record&, const Error&) {}, prepare, [](const Record&, int) {});
  });
}

}  // namespace
}  // namespace gist
