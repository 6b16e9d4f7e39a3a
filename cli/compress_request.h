// This file turns the options of gist compress into one struct.
#pragma once

#include <optional>
#include <string>

#include "cli/left_out.h"
#include "cli/model_options.h"
#include "cli/options.h"
#include "cli/prompt_check_options.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "gist/compress_store.h"
#include "gist/loaded_model.h"

namespace gist {

CommandSpec compress_spec();

/// CompressRequest holds what the options say. `task.compression` is the model's to say.
struct CompressRequest {
  std::string model;  // its directory
  std::string input;
  RecordRequest records;
  RejectsRequest rejects;
  LeftOutRequest left_out;
  ModelSetup setup;
  StoreTask task;
  GistingRequest gisting;
  bool full_prompt = false;
  Shard shard;
  std::optional<std::string> known;  // the store whose prompts are skipped
  std::optional<PromptCheckRequest> check;
  std::optional<OutputListFile> check_report;
  bool dry_run = false;
};
/// Throws Error(usage) for values that are not what they should be, or exclude each other.
CompressRequest compress_request(const Options& options);

}  // namespace gist
