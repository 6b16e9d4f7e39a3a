// New stores from finished ones.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "formats/files/output_file.h"
#include "formats/files/rows_done.h"
#include "formats/store/gist_store.h"

namespace gist {

struct MergeResult {
  std::uint64_t rows = 0;
  std::uint64_t duplicates = 0;  // same id, same prompt: one row
  std::uint64_t left_out = 0;    // by the filter
};

struct MergeOptions {
  /// Chooses rows by their ids, before anything is compared; all where it is empty.
  std::function<bool(const std::string& id)> keep = {};
  StoreReading reading = {};
  /// `existing` says what becomes of a file that has the output's name.
  Existing existing = Existing::refuse;
  /// Hears how many rows of the output are done.
  RowsDone rows_done = {};
};

/// Merges the inputs' rows into one store at `output`; memory holds their indexes, never all
/// activations. The order: shards of one input come back in input order, other stores in argument
/// order. Shards are told by their ordinals: these rise within each store, and none comes twice.
/// Every row keeps its ordinal. Of rows with the same id, prompt and number of gist tokens the
/// first is kept. The header is the first input's, with the most gist tokens of any. Throws
/// Error(usage) without inputs, Error(data) where headers differ in more than that, or one id
/// stands for two prompts or two numbers of gist tokens (naming id and both files), and what
/// GistStore and GistStoreWriter throw.
MergeResult merge_stores(const std::vector<std::filesystem::path>& inputs,
                         const std::filesystem::path& output, const MergeOptions& options = {});

}  // namespace gist
