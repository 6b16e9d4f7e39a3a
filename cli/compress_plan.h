// What a run of compress would take: the same batches over the meta backend.
#pragma once

#include "cli/prompt_check.h"
#include "cli/prompt_reader.h"
#include "cli/signals.h"

namespace gist {

/// Prints the plan as JSON. `check` may be null; answers that it has to generate count as long.
/// Throws Error(unavailable) with the figures where memory would not suffice. A signal ends the
/// process.
void print_compress_plan(PromptReader& prompts, const LeftOutList& left_out,
                         const ModelFiles& files, std::unique_ptr<Family> family,
                         const CompressionTask& task, CheckReference* check, Dtype store_dtype,
                         const BatchLimits& limits, const ModelSetup& setup,
                         const Signals& signals);

}  // namespace gist
