#include "gist/evaluation_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/gist/evaluation_systems.h"

namespace gist {
namespace {

using ::testing::ElementsAre;
using testing::expect_error;
using testing::TemporaryDirectory;
using testing::word_records;
using testing::write_file;

struct EvaluationDataTest : ::testing::Test {
  TemporaryDirectory directory;
  std::string path = (directory / "records.jsonl").string();
  Evaluation evaluation;
  std::vector<LeftOut> left_out;
  std::vector<std::string> rejected;
  const EvaluationDataEvents events{
      [this](const Record&, const Error& error) { rejected.emplace_back(error.what()); },
      [this](const LeftOut& record) { left_out.push_back(record); }};
  static bool take(const Record&) { return true; }
};

TEST_F(EvaluationDataTest, GroupsComeInTheOrderInWhichTheyAppear) {
  write_file(path, word_records);
  EvaluationDataSetup setup{path};
  setup.group_by = "task";
  EvaluationData(setup).read(evaluation, events, take);
  ASSERT_EQ(evaluation.records.size(), 3U);
  EXPECT_THAT(evaluation.groups, ElementsAre("a", "b"));
  EXPECT_EQ(evaluation.records[1].group, 1U);
  EXPECT_EQ(evaluation.records[2].group, 0U);
  EXPECT_EQ(evaluation.records[1].input, "lake stone");
  EXPECT_EQ(evaluation.data, path);
}

TEST_F(EvaluationDataTest, ARecordWithoutTheGroupsFieldIsRejected) {
  write_file(path, word_records);
  EvaluationDataSetup setup{path};
  setup.group_by = "colour";
  EvaluationData(setup).read(evaluation, events, take);
  EXPECT_EQ(rejected.size(), 3U);
  EXPECT_TRUE(evaluation.records.empty());
}

TEST_F(EvaluationDataTest, WithoutEventsTheFirstErrorIsThrown) {
  write_file(path, std::string(word_records) + "{\"input\": \"no answer\"}\n");
  EvaluationData data({path});
  expect_error(ErrorKind::data, ":4", [&] { data.read(evaluation, {}, take); });
}

TEST_F(EvaluationDataTest, WhatAskedTheSameElsewhereIsLeftOut) {
  write_file(path, word_records);
  const std::string other = (directory / "other.jsonl").string();
  write_file(other, R"({"instruction": " Repeat the word. ", "input": "swan", "output": "x"})");
  EvaluationData data({path});
  data.exclude({other});
  data.read(evaluation, events, take);
  EXPECT_EQ(evaluation.records.size(), 2U);
  ASSERT_EQ(left_out.size(), 1U);
  EXPECT_EQ(left_out[0].place.ordinal, 2U);
  EXPECT_EQ(left_out[0].stands_in.value().data, other);
}

TEST_F(EvaluationDataTest, LongerRecordsAreLeftOutForAllSystems) {
  write_file(path, word_records);
  const Systems systems = testing::two_systems();
  EvaluationData plain({path});
  const EvaluationItems all = read_items(systems, plain, events, evaluation);
  EvaluationDataSetup setup{path};
  setup.max_tokens = all[1][0].tokens();
  ASSERT_GT(all[1][1].tokens(), setup.max_tokens);
  Evaluation shorter;
  EvaluationData data(setup);
  const EvaluationItems items = read_items(systems, data, events, shorter);
  EXPECT_EQ(items[0].size(), shorter.records.size());
  EXPECT_EQ(items[1].size(), shorter.records.size());
  ASSERT_FALSE(left_out.empty());
  EXPECT_GT(left_out[0].tokens, setup.max_tokens);
  EXPECT_EQ(left_out.size() + shorter.records.size(), 3U);
}

TEST_F(EvaluationDataTest, ExcludedFilesAreReadUntilAStop) {
  write_file(path, word_records);
  const FieldMap map;
  int asked = 0;
  const ExcludedFiles files{
      {path, (directory / "missing.jsonl").string()}, default_record_bytes, -1, [&] {
        ++asked;
        return true;
      }};
  const ExcludedRecords excluded(files, map,
                                 [](const Record&, const Error& error) { throw error; });
  EXPECT_EQ(asked, 1);
}

}  // namespace
}  // namespace gist
