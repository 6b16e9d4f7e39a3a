#include "gist/compress_session.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/sequences/store_of_model.h"
#include "tests/gist/compress_model.h"

namespace gist {
namespace {

using testing::CompressModel;
using ::testing::ElementsAre;
using testing::some_prompts;
using testing::TemporaryDirectory;
using Status = StagedRecord::Status;

/// A session's surroundings: a staging file in a directory of its own.
struct Staged {
  explicit Staged(const CompressModel& model)
      : staging(Staging::create(directory / "s.h5.partial",
                                store_header(model.files, model.spec, model.task.condition,
                                             model.task.gist_tokens, model.task.prompt_template),
                                "{}")),
        compressor(model.model.model, model.task, Dtype::f32, nullptr) {}

  bool run(const CompressModel& model, const std::vector<PromptText>& prompts,
           const BatchLimits& limits, const CompressEvents& events,
           const PromptEvents& prompt_events = {}) {
    PromptReader reader(source_of(prompts), model.files, model.spec, model.task, prompt_events);
    CompressSession session(compressor, reader, staging, limits, events);
    const bool ended = session.run();
    tally = session.tally();
    return ended;
  }

  TemporaryDirectory directory;
  Staging staging;
  Compressor compressor;
  CompressTally tally;
};

TEST(CompressSession, ABatchIsDurableBeforeItsRecordsAreTold) {
  const CompressModel model;
  Staged staged(model);
  std::vector<std::string> told;
  CompressEvents events;
  events.begins = [&](CompressStep) { told.emplace_back("begins"); };
  events.record = [&](const StagedRecord& record) {
    EXPECT_GT(staged.staging.records(), record.ordinal);
    told.push_back(record.id);
  };
  events.progress = [&](std::uint64_t records, std::optional<double>) {
    told.push_back(std::to_string(records));
  };
  events.ends = [&](CompressStep) { told.emplace_back("ends"); };
  events.input_done = [&] { told.emplace_back("done"); };
  EXPECT_TRUE(staged.run(model, some_prompts(), {8192, 2}, events));
  EXPECT_THAT(told,
              ElementsAre("begins", "a", "b", "2", "ends", "begins", "c", "3", "ends", "done"));
}

TEST(CompressSession, AStopKeepsWholeBatchesAndTheNextRunTellsThemAgain) {
  const CompressModel model;
  Staged staged(model);
  bool stop = false;
  CompressEvents events;
  events.run.stop_requested = [&] { return stop; };
  events.progress = [&](std::uint64_t, std::optional<double>) { stop = true; };
  EXPECT_FALSE(staged.run(model, some_prompts(), {8192, 1}, events));
  EXPECT_EQ(staged.staging.records(), 1u);

  std::vector<std::uint64_t> again;
  CompressEvents next;
  next.staged_before = [&](std::uint64_t records, std::optional<double>) {
    again.push_back(records);
  };
  EXPECT_TRUE(staged.run(model, some_prompts(), {8192, 1}, next));
  EXPECT_THAT(again, ElementsAre(1u));
  EXPECT_EQ(staged.tally.stored, 3u);
  EXPECT_EQ(staged.staging.rows(), 3u);
}

TEST(CompressSession, AnotherInputThanTheStagedOneIsRefused) {
  const CompressModel model;
  Staged staged(model);
  EXPECT_TRUE(staged.run(model, some_prompts(), {}, {}));
  std::vector<PromptText> other = some_prompts();
  other[1].instruction = "Something else.";
  testing::expect_error(ErrorKind::data, "prompts:2: this is not the input",
                        [&] { staged.run(model, other, {}, {}); });
  other.resize(1);
  testing::expect_error(ErrorKind::data, "it ends after 1 record, of 3",
                        [&] { staged.run(model, other, {}, {}); });
}

TEST(CompressSession, ADuplicateHasTheRowOfTheRecordBeforeIt) {
  const CompressModel model;
  Staged staged(model);
  std::vector<StagedRecord> told;
  CompressEvents events;
  events.record = [&](const StagedRecord& record) { told.push_back(record); };
  EXPECT_TRUE(
      staged.run(model, {{"a", "Repeat."}, {"b", "Reverse."}, {"b", "Reverse."}}, {}, events));
  ASSERT_EQ(told.size(), 3u);
  EXPECT_EQ(told[2].status, Status::duplicate);
  EXPECT_EQ(told[2].row, told[1].row);
  EXPECT_EQ(staged.tally.duplicate, 1u);
}

TEST(CompressSession, ARejectedRecordIsStagedAndEndsTheRunOnlyWhereNobodyTakesIt) {
  const CompressModel model;
  Staged staged(model);
  const std::vector<PromptText> prompts{{"a", "Repeat."}, {"b", ""}};
  testing::expect_error(ErrorKind::data,
                        "prompts:2: ", [&] { staged.run(model, prompts, {}, {}); });
  PromptEvents keep_going;
  keep_going.reject = [](const Record&, const Error&) {};
  EXPECT_TRUE(staged.run(model, prompts, {}, {}, keep_going));
  EXPECT_EQ(staged.tally.rejected, 1u);
  EXPECT_EQ(staged.staging.records(), 2u);
}

TEST(CompressSession, AReceiptIsALineOfJson) {
  StagedRecord record;
  record.id = "a\"b";
  record.row = 3;
  record.status = Status::duplicate;
  const nlohmann::json line = nlohmann::json::parse(receipt(record));
  EXPECT_EQ(line["id"], "a\"b");
  EXPECT_EQ(line["row"], 3);
  EXPECT_EQ(line["status"], "duplicate");
}

}  // namespace
}  // namespace gist
