// What a training run is asked to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/train_model.h"
#include "core/learning_rate.h"
#include "core/train.h"
#include "formats/records/field_map.h"

namespace gist {

struct TrainTask {
  std::filesystem::path output;
  Gisting gisting;
  FieldMap fields;                   // where records have what the template reads
  std::size_t max_record_bytes = 0;  // longer records are refused; 0: none
  std::int64_t steps = 0;            // 0: `epochs` says it
  std::int64_t epochs = 0;
  std::int64_t batch_records = 0;
  std::int64_t max_tokens = 0;  // longer records are left out; 0: none
  double learning_rate = 0;
  Schedule schedule = Schedule::linear;
  std::int64_t warmup = 0;
  std::uint64_t seed = 0;
  TrainingOptions training;
  std::int64_t eval_every = 0;
  std::int64_t samples = 0;  // held-out records that each evaluation answers
  std::int64_t save_every = 0;
  std::int64_t keep = 0;

  /// Steps of an epoch over so many records: its last one may have fewer records than the others.
  std::int64_t epoch_steps(std::size_t records) const;
  std::int64_t total_steps(std::size_t records) const;
};

/// The table of `gist train`'s own options.
std::vector<OptionSpec> train_options();

/// Throws Error(usage) for options that contradict each other or lack something. `base` is what
/// training starts from.
TrainTask train_task(const Options& options, const BaseModel& base, const ModelSpec& spec);

/// What decides the numbers of a run: kept in its checkpoints, and compared when one is resumed.
nlohmann::ordered_json decisive_settings(const TrainTask& task, std::int64_t total_steps,
                                         Dtype dtype);

}  // namespace gist
