// Records as training sees them: token sequences with their answers.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cli/left_out.h"
#include "cli/rejects.h"
#include "cli/signals.h"
#include "cli/train_model.h"
#include "cli/train_task.h"
#include "core/predict.h"
#include "formats/records/record_reader.h"
#include "gist/evaluation_data.h"
#include "gist/excluded_records.h"

namespace gist {

struct TrainData {
  std::string name;  // of the input, for messages
  std::vector<LabelledSequence> records;
  std::vector<std::uint64_t> lines;     // [records] where each stands in the input
  std::vector<std::uint64_t> ordinals;  // [records]
  std::vector<Sha256> questions;        // of the records that have an "instruction"
  std::vector<EvaluationRecord> texts;  // of the first records, as many as were asked for
  std::vector<LeftOut> left_out;
  std::string sha256;  // of all records' tokens: whether another run reads the same
};

/// Reads all records of a file but those that are excluded, and keeps the texts of the first
/// `texts`. Throws Error(data), naming the line, for one that can't be used, unless `rejects` takes
/// it, and where none is left. With `signals`, one that comes meanwhile ends the process: there is
/// nothing to save yet.
TrainData read_train_data(const std::string& path, const BaseModel& base, const ModelSpec& spec,
                          const TrainTask& task, const ExcludedRecords& excluded, std::size_t texts,
                          Rejects& rejects, const Signals* signals);

/// How many of the held-out records stand in the data, too: they ask the same (gist/excluded_records.h).
std::size_t leaked_records(const TrainData& held_out, const TrainData& data);

/// Which records a step is made of. Each epoch has an order of its own, drawn from the seed.
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
