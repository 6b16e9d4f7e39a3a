// A plan says what a run of compress would take; it runs the same batches over the meta backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "gist/compressor.h"
#include "gist/loaded_model.h"
#include "gist/prompt_check.h"
#include "gist/prompt_reader.h"

namespace gist {

struct CompressPlan {
  std::uint64_t records = 0;  // of the shard, but those that are left out
  std::uint64_t rows = 0;     // of the store
  std::uint64_t checks = 0;   // prompts that are answered twice
  std::uint64_t tokens = 0;   // that the model reads as it compresses
  std::uint64_t batches = 0;
  std::int64_t flops = 0;
  std::size_t weight_bytes = 0;  // of all models
  std::size_t memory_bytes = 0;  // at the most, with the weights
  std::uint64_t store_bytes = 0;
};

/// Reads the whole input. `check` may be null; answers that it has to generate count as long.
/// `compute` is the dtype in which the models would compute. Throws as reading does.
CompressPlan plan_compression(PromptReader& prompts, const ModelFiles& files,
                              std::unique_ptr<Family> family, const CompressionTask& task,
                              WholePromptModel* check, Dtype store_dtype, const BatchLimits& limits,
                              Dtype compute);

}  // namespace gist
