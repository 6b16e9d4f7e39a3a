#include "gist/train_data.h"

#include <algorithm>
#include <numeric>

#include "tests/gist/small_training.h"

namespace gist {
namespace {

using testing::record_text;
using testing::SmallTraining;
using testing::TemporaryDirectory;
using testing::training_records;

TEST(TrainData, RecordsOfAFunctionBecomeSequencesWithTheirAnswers) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  const TrainData data = small.data(training_records(), {}, 2);
  EXPECT_EQ(data.name, "queue");
  ASSERT_EQ(data.records.size(), 5U);
  for (const LabelledSequence& record : data.records) {
    EXPECT_EQ(record.condition, Condition::gist);
    EXPECT_EQ(record.sequence.ids.back(), small.base.ends.written.value());
    EXPECT_EQ(std::count(record.sequence.ids.begin(), record.sequence.ids.end(),
                         small.base.gist_ids.first),
              1);
    EXPECT_GT(record.labels, 1);
  }
  ASSERT_EQ(data.texts.size(), 2U);
  EXPECT_EQ(data.texts[1].reference_answer, "pepper lion");
  EXPECT_EQ(data.lines.back(), 5U);
  EXPECT_EQ(data.sha256, small.data(training_records()).sha256);
}

TEST(TrainData, ARangeOfGistTokensIsDrawnForEachRecordAtEachStep) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  fit_vocabulary(small.base, 4);
  small.task.distinct_ids = 4;
  small.task.gisting.gist_tokens = 4;
  const TrainData whole = small.data(training_records());
  EXPECT_EQ(record_of_step(whole, 0, small.task, 1).sequence.ids, whole.records[0].sequence.ids);

  small.task.least_gist_tokens = 1;
  std::vector<int> times(5);
  for (std::int64_t step = 0; step < 40; ++step) {
    SelectedRecords selected, alone;
    const std::vector<std::uint32_t> numbers{3, 0, 1};
    select_records(whole, numbers, small.task, step, selected);
    const std::vector<LabelledSequence>& records = selected.records;
    ASSERT_EQ(records.size(), 3U);
    // What is drawn doesn't depend on the records beside it.
    select_records(whole, std::span(numbers).subspan(1, 1), small.task, step, alone);
    EXPECT_EQ(alone.records[0].sequence.ids, records[1].sequence.ids);

    const Sequence& drawn = records[1].sequence;
    const Sequence& most = whole.records[0].sequence;
    ASSERT_EQ(drawn.gists.size(), 1U);
    const Interval gist = drawn.gists[0];
    const std::int32_t k = gist.end - gist.begin;
    ASSERT_TRUE(1 <= k && k <= 4);
    ++times[static_cast<std::size_t>(k)];
    std::vector<std::int32_t> expected = most.ids;
    expected.erase(expected.begin() + gist.end, expected.begin() + most.gists[0].end);
    EXPECT_EQ(drawn.ids, expected);
    EXPECT_EQ(drawn.ids[static_cast<std::size_t>(gist.end) - 1], small.base.gist_ids.first + k - 1);
    EXPECT_EQ(records[1].labels, whole.records[0].labels);
  }
  for (std::size_t k = 1; k <= 4; ++k) EXPECT_GT(times[k], 0) << k;
  EXPECT_EQ(held_out_record(whole, 2, small.task).sequence.ids,
            held_out_record(whole, 2, small.task).sequence.ids);
}

TEST(TrainData, NewGistTokensStartFromPartsOfTheTableOrTheLastThatIsThere) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());  // 900 pieces, and <GIST>
  fit_vocabulary(small.base, 3);
  EXPECT_EQ(small.base.gist_ids, (GistIds{900, 3}));
  EXPECT_EQ(small.base.config["vocab_size"], 903);
  EXPECT_EQ(small.base.new_gist_ids.first, 901);
  EXPECT_EQ(small.base.new_gist_ids.mean_of,
            (std::vector<std::vector<std::int32_t>>{{900}, {900}}));

  BaseModel plain = base_from_config(directory.path() / "config.json",
                                     testing::fixtures / "models/stories260K");  // 512 pieces
  plain.config["vocab_size"] = 512;
  fit_vocabulary(plain, 3);
  ASSERT_EQ(plain.new_gist_ids.mean_of.size(), 3U);
  EXPECT_EQ(plain.new_gist_ids.mean_of[0].front(), 0);
  EXPECT_EQ(plain.new_gist_ids.mean_of[1].front(), 170);
  EXPECT_EQ(plain.new_gist_ids.mean_of[1].back(), 340);
  EXPECT_EQ(plain.new_gist_ids.mean_of[2].back(), 511);
  plain.config["vocab_size"] = 512;
  fit_vocabulary(plain, 2, {"cat", "dog"});
  EXPECT_EQ(plain.new_gist_ids.mean_of[1], plain.tokenizer.encode("dog"));
  testing::expect_error(ErrorKind::usage, "expected 2, found 1",
                        [&] { fit_vocabulary(plain, 2, {"cat"}); });
  testing::expect_error(ErrorKind::usage, "from \"\"", [&] { fit_vocabulary(plain, 1, {""}); });
}

TEST(TrainData, ARecordThatCantBeUsedIsThrownOrRejected) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  std::vector<std::string> records = training_records();
  records[1] = R"({"instruction": "Leave out all places.", "input": "lion"})";
  testing::expect_error(ErrorKind::data, "queue:2: ", [&] { small.data(records); });
  std::vector<std::uint64_t> rejected;
  TrainDataEvents events;
  events.reject = [&](const Record& record, const Error&) { rejected.push_back(record.line); };
  EXPECT_EQ(small.data(records, events).records.size(), 4U);
  EXPECT_THAT(rejected, ::testing::ElementsAre(2U));
}

TEST(TrainData, LongAndExcludedRecordsAreLeftOutAndListed) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  std::vector<std::string> records = training_records();
  records[3] = record_text("Leave out all places.", "butter, plum, butter, plum, butter, plum",
                           "butter plum butter plum butter plum");
  small.task.max_tokens = 0;
  const std::int32_t tokens = small.data(records).records[0].sequence.tokens();
  small.task.max_tokens = tokens;
  TrainDataEvents events;
  events.excluded = [](const Record& record) -> std::optional<RecordPlace> {
    if (record.ordinal != 0) return std::nullopt;
    return RecordPlace{"known", 7, 6};
  };
  const TrainData data = small.data(records, events);
  ASSERT_GE(data.left_out.size(), 2U);
  EXPECT_EQ(data.left_out[0].place.line, 1U);
  EXPECT_EQ(data.left_out[0].stands_in.value().line, 7U);
  EXPECT_EQ(data.left_out[1].place.line, 4U);
  EXPECT_GT(data.left_out[1].tokens, tokens);
  EXPECT_EQ(data.records.size() + data.left_out.size(), records.size());
  small.task.max_tokens = 1;
  testing::expect_error(ErrorKind::data, "queue: there is no record to use: all 5 are left out",
                        [&] { small.data(records); });
}

TEST(TrainData, IsNothingWhereTheCallerEndedTheReading) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  const RecordSource records =
      source_of(testing::texts_from(training_records()), "queue", small.task.fields);
  TrainDataEvents events;
  events.stop_requested = [] { return true; };
  EXPECT_FALSE(read_train_data(records, small.base, small.spec, small.task, 0, events));
}

TEST(TrainData, EachHeldOutRecordThatIsAskedInTrainingLeaksOnce) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  const TrainData data = small.data(training_records());
  std::vector<std::string> asked{training_records()[0], training_records()[2],
                                 record_text("Leave out all tools.", "lion", "lion")};
  EXPECT_EQ(leaked_records(small.data(asked), data), 2U);
}

TEST(RecordOrder, AnEpochHasEachRecordOnceAndTheNextOneAnotherOrder) {
  TrainTask task;
  task.batch_records = 8;
  RecordOrder order(task, 20);
  std::vector<std::vector<std::uint32_t>> epochs(2);
  for (std::int64_t step = 0; step < 6; ++step) {
    const auto records = order.of_step(step);
    auto& epoch = epochs[static_cast<std::size_t>(step / 3)];
    epoch.insert(epoch.end(), records.begin(), records.end());
  }
  EXPECT_NE(epochs[0], epochs[1]);
  std::vector<std::uint32_t> all(20);
  std::iota(all.begin(), all.end(), 0U);
  for (auto& epoch : epochs) EXPECT_THAT(epoch, ::testing::UnorderedElementsAreArray(all));
}

}  // namespace
}  // namespace gist
