// The options of `gist train`, read into what the library is asked to do.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "gist/loaded_model.h"
#include "gist/train_model.h"
#include "gist/train_task.h"

namespace gist {

/// The table of `gist train`'s own options.
std::vector<OptionSpec> train_options();
/// What --recipe chooses from.
OptionSets train_recipes();

/// TrainFiles names what a run reads and writes beside its task.
struct TrainFiles {
  ModelSetup setup;
  std::string data;
  std::optional<std::string> held_out;          // --eval-data
  std::optional<std::filesystem::path> report;  // --report
  bool resume = false;
  bool plan_only = false;             // --dry-run
  bool names_condition = false;       // --condition is given, in place of what gist.json says
  std::vector<std::string> excluded;  // --exclude
  RejectsRequest rejects;
};

/// TrainRequest holds what the options say.
struct TrainRequest {
  TrainFiles files;
  std::optional<std::string> model;  // --model, or else:
  std::string init, tokenizer;
  std::optional<std::string> teacher;  // --teacher: a directory, that of --model for "self"
  std::optional<std::string> teacher_logprobs;  // the file of --teacher-logprobs
  GistingRequest gisting;
  std::optional<std::string> prompt_template;  // the file of --template
  RecordRequest records;
  std::optional<bool> distinct_ids;  // --gist-ids
  TrainTask task;  // but for `gisting` and `fields`, which the model has its part in
};
/// Throws Error(usage) for options that contradict each other or lack something.
TrainRequest train_request(const Options& options);

/// Opens what training starts from. Throws as ModelFiles.
BaseModel base_model(const TrainRequest& request);

/// The request's task, whole. `base` is what training starts from. Throws Error(usage) where the
/// options don't fit it.
TrainTask train_task(const TrainRequest& request, const BaseModel& base, const ModelSpec& spec);

}  // namespace gist
