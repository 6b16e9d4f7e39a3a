// Attention over intervals, and its gradient.
#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/ops/dropout.h"
#include "kernels/tensor.h"

namespace gist {

/// The keys that a batch's queries see. Row r owns queries [query_begin, query_end) of the packed
/// batch, of which the first has index `query_index` within its row, and keys
/// [key_begin, key_end) of the lists slot, begin and end. Key j stands at keys[slot[j]] and is
/// visible to the row's queries with index in [begin[j], end[j]). There is no other mask.
struct AttentionRow {
  std::int32_t query_begin = 0;
  std::int32_t query_end = 0;
  std::int32_t query_index = 0;
  std::int32_t key_begin = 0;
  std::int32_t key_end = 0;
};

struct AttentionKeys {
  Tensor rows;   // i32 [rows, 5]: AttentionRow
  Tensor slot;   // i32 [list]
  Tensor begin;  // i32 [list]
  Tensor end;    // i32 [list]
  // What FLOPs are counted by: pairs of a query and a key that see each other, and pairs of a query
  // and a key that its row lists.
  std::int64_t visible_pairs = 0;
  std::int64_t listed_pairs = 0;
};

/// T5's relative position bias (Raffel et al. 2020): a score is scale * q . k plus
/// table[bucket(key position - query position), head], before the soft cap where there is one. The
/// buckets are those of transformers' T5Attention: with n of them in a direction (half of the
/// table's where bidirectional, of which the second half is for keys after the query; otherwise all
/// for keys before it, and those after it count as distance 0), n / 2 are for the smallest
/// distances, one each, and the others grow logarithmically up to max_distance; the last one takes
/// all that is beyond.
struct RelativeBias {
  Tensor table;                     // f32 [buckets, heads]; without data: no bias
  Tensor query_positions;           // i32 [m], between -2^30 and 2^30
  Tensor key_positions;             // i32 [list], likewise: parallel to AttentionKeys.slot
  std::int32_t max_distance = 128;  // above n / 2
  bool bidirectional = false;
};

struct AttentionSpec {
  float scale = 1;     // of the scores, before the soft cap
  float soft_cap = 0;  // score = cap * tanh(score / cap); 0: none
  RelativeBias bias;
  /// Dropout behind the softmax: that of query i and head h for entry j of the key
  /// list has the index (i * heads + h) * 4 (list / 4 + 1) + j, whatever the order of computation.
  Dropout dropout;
};

namespace ops {

/// The sizes that the tensors of attention agree on.
struct AttentionSizes {
  std::int64_t queries = 0, heads = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
  std::int64_t slots = 0, rows = 0, list = 0;
};

/// y[m, heads, value_dim] = dropout(softmax(scale q k^T + bias)) v over each query's visible
/// keys, in f32, or with the factors of both products in the dtype that the backend computes
/// products in; a query that sees no key yields zeros. Query head h reads key head h / (heads /
/// kv_heads). Online softmax over key blocks (Dao 2023); blocks that no query of a tile may see
/// are not read.
struct Attention {
  static constexpr const char* name = "attention";
  Tensor q;       // [m, heads, key_dim]
  Tensor keys;    // [slots, kv_heads, key_dim]
  Tensor values;  // [slots, kv_heads, value_dim]
  AttentionKeys visible;
  AttentionSpec spec = {};
  Tensor y;
  /// [m, heads]: what AttentionBackward needs, the logarithm of each softmax' denominator,
  /// -infinity for a query that sees no key. May have no data.
  Tensor log_sum_exp = {};

  AttentionSizes sizes() const;
};

/// Probabilities are computed again from log_sum_exp, tile by tile (Dao 2023, algorithm 2). Keys
/// that are not listed get zeros; one that is listed several times in a row gets the sum. No two
/// rows list the same slot.
struct AttentionBackward {
  static constexpr const char* name = "attention_backward";
  Attention forward;  // as it was run; y and log_sum_exp are what it gave
  Tensor dy;
  Tensor dq;
  Tensor dkeys;    // may not be the keys
  Tensor dvalues;  // may not be the values
  /// [buckets, heads]: the bias table's gradient, which is added to. May have no data.
  Tensor dtable = {};
};

void check(const Attention& op);
void check(const AttentionBackward& op);
OpCost cost(const Attention& op);
OpCost cost(const AttentionBackward& op);

}  // namespace ops
}  // namespace gist
