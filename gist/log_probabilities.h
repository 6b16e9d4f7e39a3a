// A teacher that runs once: what a system expects at the labels of all records, written into a file
// from which students learn later, elsewhere (formats/store/log_probability_file.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "gist/evaluation.h"
#include "gist/evaluation_events.h"
#include "gist/evaluation_system.h"

namespace gist {

struct LogProbabilityTask {
  std::filesystem::path path;
  std::int32_t k = 20;  // the likeliest tokens that are kept of each label
  std::int32_t batch_tokens = 4096;
  BackendOpener open_backend = {};
};

struct WrittenLogProbabilities {
  bool whole = false;  // false: the events asked to stop, and there is no file
  std::uint64_t records = 0;
  std::uint64_t labels = 0;
  double mass = 0;  // of the kept tokens' probabilities, a label on average
};

/// Writes the file, whole or not at all. `items` and `records` are what read_items (gist/
/// evaluation_run.h) made of the data for this system, which is loaded, and can't be used again.
/// Throws Error(cannot_create) where the name is taken, Error(data) where a logit isn't a finite
/// number, and for two records of the same instruction, input and output that the system read
/// differently, as nothing tells them apart in the file.
WrittenLogProbabilities write_log_probabilities(EvaluatedSystem& system,
                                                const std::vector<EvaluationItem>& items,
                                                const std::vector<EvaluationRecord>& records,
                                                const LogProbabilityTask& task,
                                                const EvaluationEvents& events);

}  // namespace gist
