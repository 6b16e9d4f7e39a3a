// What a run of compress would take: the same batches over the meta backend.
#pragma once

#include "cli/prompt_reader.h"

namespace gist {

/// Prints the plan as JSON. Throws Error(unavailable) with the figures where memory would not
/// suffice.
void print_compress_plan(PromptReader& prompts, const ModelFiles& files,
                         std::unique_ptr<Family> family, const CompressionTask& task,
                         Dtype store_dtype, const BatchLimits& limits, const Options& options);

}  // namespace gist
