// The options of compress --check.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/options.h"
#include "gist/prompt_check.h"

namespace gist {

/// --check, --max-kl, --check-model, --check-report.
std::vector<OptionSpec> prompt_check_options();

/// PromptCheckRequest is what the first three options say.
struct PromptCheckRequest {
  PromptCheckTask task;
  std::optional<std::string> model;  // the directory of the one that answers from the whole text
};
/// Nothing without --check. Throws Error(usage) for values that are not what they should be, and
/// where other options need --check.
std::optional<PromptCheckRequest> prompt_check_request(const Options& options);

/// Opens the other model, if there is one. Null where no check is asked for. Throws as
/// open_model_and_tell and WholePromptModel do.
std::unique_ptr<WholePromptModel> whole_prompt_model(
    const std::optional<PromptCheckRequest>& request, const ModelFiles& files,
    const ModelSpec& spec, const CompressionTask& task, const ModelSetup& setup);

}  // namespace gist
