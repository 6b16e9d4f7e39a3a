// T5's relative position bias (Raffel et al. 2020), laid out so that vectors of keys and vectors of
// queries read it from neighbouring places. A table is as long as there are distances that differ:
// the biases of all pairs never exist.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/cpu/memory.h"
#include "kernels/cpu/workspace_pieces.h"
#include "kernels/ops/attention.h"

namespace gist::cpu {

/// The distances of a table: all beyond max_distance have one bias. Tables go on for a vector at
/// both ends, so that a vector of neighbours can be read from a start that is clamped.
struct BiasDistances {
  std::int32_t max_distance = 0;

  static constexpr std::int32_t margin = widest_vector + 1;
  std::int64_t origin() const { return max_distance + margin; }  // where distance 0 stands
  std::int64_t count() const { return 2 * (origin() + 1); }
  /// Where to read a vector that begins with this distance.
  std::int64_t start(std::int64_t distance) const {
    return std::clamp<std::int64_t>(distance, -origin(), max_distance + 1) + origin();
  }
};

struct BiasTables {
  const float* rising_keys = nullptr;     // [heads, distances]: of key - query; null: no bias
  const float* rising_queries = nullptr;  // [kv_heads, distances, group]: of query - key
  const std::int32_t* buckets = nullptr;  // [distances]: those of rising_queries
  const std::int32_t* query_positions = nullptr;  // [queries]
  const std::int32_t* key_positions = nullptr;    // [list]
  BiasDistances distances;
};

/// The bias as a tile's columns read it: query position[c] and head member[c] of a key head's
/// group.
struct TileBias {
  const float* rising_keys = nullptr;     // [group, distances]; null: no bias
  const float* rising_queries = nullptr;  // [distances, group]
  BiasDistances distances;
  std::int64_t group = 1;
  std::int32_t* position = nullptr;  // [columns]
  std::int32_t* member = nullptr;    // [columns]
  bool consecutive = false;          // each query stands one place after the one before
};

/// The bias of one key head.
TileBias bias_of_head(const BiasTables& tables, std::int64_t kv_head, std::int64_t group);

/// Fills position and member for the columns [first_column, + columns) of the row whose queries'
/// positions these are, and up to `padded` as the last one.
void load_bias_columns(const std::int32_t* positions, std::int64_t first_column,
                       std::int64_t columns, std::int64_t padded, TileBias& bias);

/// As transformers' T5Attention._relative_position_bucket, for distance = key - query.
std::int32_t relative_bucket(std::int32_t distance, std::int32_t buckets, std::int32_t max_distance,
                             bool bidirectional);

class BiasTableMaker {
 public:
  explicit BiasTableMaker(MemoryAccount& account) : tables_(account) {}

  /// The tables of a call, valid until the next one; none where there is no bias. Throws
  /// Error(internal) for positions whose differences could overflow.
  BiasTables make(const RelativeBias& bias, const ops::AttentionSizes& sizes);

 private:
  std::vector<std::int32_t> buckets_;
  Scratch tables_;
};

}  // namespace gist::cpu
