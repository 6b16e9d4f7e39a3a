// TrainTask is what a training run is asked to do.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/adapter.h"
#include "core/learning_rate.h"
#include "core/teacher.h"
#include "core/train.h"
#include "formats/records/field_map.h"
#include "formats/records/record_reader.h"
#include "formats/sequences/gisting.h"

namespace gist {

/// Besides `output`, `gisting`, the learning rate and one of `steps` and `epochs`, all has a
/// default.
struct TrainTask {
  std::filesystem::path output;        // the directory for the model, checkpoints and metrics
  Gisting gisting;                     // of a range of gist tokens, with the most
  std::int32_t least_gist_tokens = 0;  // of a range, from which each step draws; 0: there is none
  std::int32_t distinct_ids = 1;       // of gist tokens; 1: one id is repeated
  std::vector<std::string> gist_init;  // a word for each new id, from which it starts; or empty
  FieldMap fields;                     // where records have what the template reads
  std::size_t max_record_bytes = default_record_bytes;  // longer records are refused; 0: none
  std::int64_t steps = 0;                               // 0: `epochs` says it
  std::int64_t epochs = 0;          // passes over the data, in a new order each time
  std::int64_t batch_records = 64;  // of a step
  std::int64_t max_tokens = 0;      // longer records are left out; 0: none
  double learning_rate = 0;         // at its peak
  Schedule schedule = Schedule::linear;
  std::int64_t warmup = 0;  // steps in which the rate rises
  std::uint64_t seed = 0;   // of the order of records and of new weights
  TrainingOptions training{.adamw = {.max_norm = 1}, .batch_tokens = 8192};
  /// With a teacher (gist/train_teacher.h): what the loss is made of.
  std::optional<DistillationOptions> distillation;
  /// What is trained in place of the model's own weights; its gist_ids are the base's
  /// (gist/train_model.h).
  std::optional<AdapterSpec> adapter;
  std::int64_t eval_every = 500;  // steps between evaluations of held-out records
  std::int64_t samples = 0;       // held-out records that each evaluation answers
  std::int64_t save_every = 500;  // steps between checkpoints; 0: none
  std::int64_t keep = 2;          // how many of the last checkpoints stay

  /// Of how many distinct ids the model's gist tokens are made; 0: it has none.
  std::int32_t gist_ids() const { return gisting.gist_tokens > 0 ? distinct_ids : 0; }
  /// Steps of an epoch over so many records: its last one may have fewer records than the others.
  std::int64_t epoch_steps(std::size_t records) const;
  /// Returns the number of steps of the whole run.
  std::int64_t total_steps(std::size_t records) const;
};

/// The fingerprint of a teacher that is a model, or of what one wrote; "": there is none.
struct TeacherFingerprints {
  std::string model, logprobs;
};

/// Returns the settings that decide the numbers of a run. They are kept in its checkpoints, and
/// compared when one is resumed.
nlohmann::ordered_json decisive_settings(const TrainTask& task, std::int64_t total_steps,
                                         Dtype dtype, const TeacherFingerprints& teacher = {});

}  // namespace gist
