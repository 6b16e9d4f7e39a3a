// The index of a gist store, whole in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/store/gist_store.h"
#include "formats/store/hdf5.h"

namespace gist {

/// One element a row, except `ids`. Row r's id ends at id_end[r] of `ids` and begins where row r -
/// 1's ends; likewise gist_end.
struct StoreIndex {
  std::string ids;
  std::vector<std::uint64_t> id_end;
  std::vector<std::uint64_t> by_id;  // row numbers, in the order of the ids' bytes
  std::vector<std::uint64_t> gist_end;
  std::vector<std::uint32_t> position;
  std::vector<std::uint64_t> ordinal;
  std::vector<std::uint32_t> prompt_tokens;
  std::vector<Sha256> prompt_sha256;

  std::uint64_t rows() const { return id_end.size(); }
  std::uint64_t total_gist_tokens() const { return gist_end.empty() ? 0 : gist_end.back(); }
  std::uint64_t gist_begin(std::uint64_t row) const { return row == 0 ? 0 : gist_end[row - 1]; }
  std::string_view id(std::uint64_t row) const;
  StoreRow row(std::uint64_t row) const;
  std::optional<std::uint64_t> find(std::string_view id) const;  // through by_id
  /// Everything but by_id.
  void append(const StoreRow& row);
};

/// Row numbers in the order of their ids. Throws Error(data) where two are equal, prefixed by
/// `name`.
std::vector<std::uint64_t> rows_by_id(const StoreIndex& index, const std::string& name);

/// Throws Error(data) where the arrays contradict each other.
StoreIndex read_store_index(const hdf5::File& file);
void write_store_index(const hdf5::File& file, const StoreIndex& index);

}  // namespace gist
