// New stores from finished ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

namespace gist {

struct MergeResult {
  std::uint64_t rows = 0;
  std::uint64_t duplicates = 0;  // same id, same prompt: one row
  std::uint64_t left_out = 0;    // by the filter
};

/// Merges the inputs' rows into one store at `output`. Stores whose ordinals interleave without a
/// clash (shards of one input) come back in input order, others in argument order. Throws
/// Error(data) where headers differ, or one id stands for two prompts (naming id and both files).
/// `keep` chooses rows by id.
MergeResult merge_stores(const std::vector<std::filesystem::path>& inputs,
                         const std::filesystem::path& output,
                         const std::function<bool(const std::string& id)>& keep);

}  // namespace gist
