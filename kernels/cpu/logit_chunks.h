// Logits are computed in chunks of rows: [rows, vocabulary] never exists whole.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gist::cpu {

/// Logits of a chunk of rows stay about this small, so that they don't leave the cache.
constexpr std::int64_t chunk_values = std::int64_t{2} << 20;
constexpr std::int64_t min_chunk_rows = 32;  // fewer rows would leave the matrix product slow
constexpr std::int64_t max_chunk_rows = 1024;

/// Rows of a chunk where each has `values` logits.
inline std::int64_t chunk_rows(std::int64_t rows, std::int64_t values) {
  return std::min(rows, std::clamp(chunk_values / values, min_chunk_rows, max_chunk_rows));
}

/// Rows that one thread takes at least, so that it is worth its start.
inline std::int64_t rows_of_a_thread(std::int64_t values) {
  return 16384 / values + 1;
}

}  // namespace gist::cpu
