// The options of `gist train`, read into what the library is asked to do.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "gist/loaded_model.h"
#include "gist/train_model.h"
#include "gist/train_task.h"

namespace gist {

/// The table of `gist train`'s own options.
std::vector<OptionSpec> train_options();

/// TrainFiles names what a run reads and writes beside its task.
struct TrainFiles {
  ModelSetup setup;
  std::string data;
  std::optional<std::string> held_out;          // --eval-data
  std::optional<std::filesystem::path> report;  // --report
  bool resume = false;
  bool plan_only = false;        // --dry-run
  bool names_condition = false;  // --condition is given, in place of what gist.json says
};
TrainFiles train_files(const Options& options, ModelSetup setup);

/// Opens what training starts from: --model, or --init and --tokenizer. Throws Error(usage) unless
/// the options name either kind, and as ModelFiles.
BaseModel base_model(const Options& options, const ModelSetup& setup);

/// Throws Error(usage) for options that contradict each other or lack something. `base` is what
/// training starts from.
TrainTask train_task(const Options& options, const BaseModel& base, const ModelSpec& spec);

}  // namespace gist
