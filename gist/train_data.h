// Records as training sees them: token sequences with their answers.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/predict.h"
#include "formats/files/sha256.h"
#include "formats/records/left_out.h"
#include "formats/records/record_source.h"
#include "gist/evaluation.h"
#include "gist/train_model.h"
#include "gist/train_task.h"
#include "gist/train_teacher.h"

namespace gist {

struct TrainData {
  std::string name;                       // of the input, for messages
  std::vector<LabelledSequence> records;  // each with the most gist tokens
  std::vector<LabelledSequence> lessons;  // [records] what a teacher reads; empty without one
  std::vector<std::uint32_t> places;      // [records] likewise: in the file that one wrote
  std::vector<std::uint64_t> lines;       // [records] where each stands in the input
  std::vector<std::uint64_t> ordinals;    // [records]
  std::vector<Sha256> questions;          // of the records that have an "instruction"
  std::vector<EvaluationRecord> texts;    // of the first records, as many as were asked for
  std::vector<LeftOut> left_out;
  std::string sha256;  // of all records' tokens: whether another run reads the same
};

/// TrainDataEvents are what is asked and told while records are read. Each function may be empty.
struct TrainDataEvents {
  /// `reject` decides what becomes of a record that can't be used; where it is empty, the record's
  /// error is thrown.
  RejectRecord reject = {};
  /// Whether a record is to be left out, because one that stands there asks the same. It is called
  /// on several threads at once; its Error(data) rejects the record.
  std::function<std::optional<RecordPlace>(const Record&)> excluded = {};
  /// So many records are read, which is this part of the input where that is known.
  std::function<void(std::uint64_t records, std::optional<double> fraction)> progress = {};
  /// Asked once the reader gives no more: whether that is because the caller ended the reading.
  std::function<bool()> stop_requested = {};
};

/// Reads all records that are left but those to leave out, and keeps the texts of the first
/// `texts`. With a teacher, each record stands among the lessons, too, or in the teacher's file. The source's map is
/// `task.fields`. Throws Error(data), naming the line, for a record
/// that can't be used, unless `events.reject` takes it, and where none is left. Nothing where the
/// caller ended the reading.
std::optional<TrainData> read_train_data(const RecordSource& source, const BaseModel& base,
                                         const ModelSpec& spec, const TrainTask& task,
                                         std::size_t texts, const TrainDataEvents& events = {},
                                         const TeacherOfRun& teacher = {});

/// Record `record` as step `step` (from 0) sees it: of a range of gist tokens with as many as are
/// drawn for it, which depends on the task's seed, the record's ordinal and the step alone; as it
/// is where there is no range.
LabelledSequence record_of_step(const TrainData& data, std::size_t record, const TrainTask& task,
                                std::int64_t step);
/// The same of a held-out record, which has as many gist tokens at each evaluation.
LabelledSequence held_out_record(const TrainData& data, std::size_t record, const TrainTask& task);

/// Some records as a step sees them, and what a teacher has of them.
struct SelectedRecords {
  std::vector<LabelledSequence> records;
  std::vector<LabelledSequence> lessons;  // as TrainData's
  std::vector<std::uint32_t> places;      // likewise

  TeachingRecords teaching() const { return {lessons, places}; }
};
/// Makes `selected` the records of these numbers, as step `step` sees them.
void select_records(const TrainData& data, std::span<const std::uint32_t> numbers,
                    const TrainTask& task, std::int64_t step, SelectedRecords& selected);
/// What a teacher has of records begin .. begin + count - 1.
TeachingRecords teaching_of(const TrainData& data, std::size_t begin, std::size_t count);

/// Returns how many of the held-out records stand in the data, too: they ask the same
/// (gist/excluded_records.h).
std::size_t leaked_records(const TrainData& held_out, const TrainData& data);

/// RecordOrder says which records a step is made of. Each epoch has an order of its own, drawn from
/// the seed.
class RecordOrder {
 public:
  RecordOrder(const TrainTask& task, std::size_t records)
      : task_(&task), records_(records), epoch_steps_(task.epoch_steps(records)) {}

  /// The records of step `step` (from 0), by number; valid until the next call.
  std::span<const std::uint32_t> of_step(std::int64_t step);

 private:
  const TrainTask* task_;
  std::size_t records_;
  std::int64_t epoch_steps_;
  std::int64_t epoch_ = -1;
  std::vector<std::uint32_t> order_;  // of the epoch
};

}  // namespace gist
