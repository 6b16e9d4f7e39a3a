// From products of queries and keys to scores: tiles of columns, tiles of keys, what hides them
// from each other, bias, soft cap and dropout.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <type_traits>

#include "kernels/cuda/attention_plan.h"
#include "kernels/cuda/attention_products.h"

namespace gist::cuda {

/// A tile's columns (attention_plan.h).
struct TileColumns {
  SharedArray<int> query;     // within the batch
  SharedArray<int> head;      //
  SharedArray<int> index;     // within the row
  SharedArray<int> position;  // where there is a bias

  __device__ TileColumns from(int c) const {
    return {query.from(c), head.from(c), index.from(c), position.from(c)};
  }
};

template <typename Memory>
__device__ TileColumns take_columns(Memory& memory, int count) {
  return {memory.template take<int>(count), memory.template take<int>(count),
          memory.template take<int>(count), memory.template take<int>(count)};
}

/// The columns [first, first + count) of a row, with heads from first_head on. Those beyond the
/// row's last are like it.
__device__ inline void load_columns(const AttentionInputs& in, const AttentionRow& row, int pack,
                                    int first_head, int first, int count, const TileColumns& to) {
  const int last = (row.query_end - row.query_begin) * pack - 1;
  for (int c = static_cast<int>(threadIdx.x); c < count; c += tile_threads) {
    const int column = min(first + c, last);
    const int query = row.query_begin + column / pack;
    to.query[c] = query;
    to.head[c] = first_head + column % pack;
    to.index[c] = row.query_index + column / pack;
    to.position[c] = in.bias.bias == nullptr ? 0 : in.bias.query_positions[query];
  }
}

/// A tile's keys.
struct TileKeys {
  SharedArray<int> begin, end;
  SharedArray<int> position;  // where there is a bias

  __device__ TileKeys from(int k) const { return {begin.from(k), end.from(k), position.from(k)}; }
};

template <typename Memory>
__device__ TileKeys take_keys(Memory& memory, int count) {
  return {memory.template take<int>(count), memory.template take<int>(count),
          memory.template take<int>(count)};
}

/// The entries [first, first + count) of the list, of which no column sees those from `last` on.
__device__ inline void load_keys(const AttentionInputs& in, int first, int last, int count,
                                 const TileKeys& to) {
  for (int k = static_cast<int>(threadIdx.x); k < count; k += tile_threads) {
    const int j = first + k;
    const bool listed = j < last && in.slots.passes(j, in.slot[j]);
    to.begin[k] = listed ? in.begin[j] : INT32_MAX;
    to.end[k] = listed ? in.end[j] : INT32_MIN;
    to.position[k] = listed && in.bias.bias != nullptr ? in.bias.key_positions[j] : 0;
  }
}

/// Whether columns with an index in [first, last] see all `count` keys. All threads of a warp must
/// call.
__device__ inline bool all_visible(const TileKeys& key, int count, int first, int last) {
  bool hidden = false;
  for (int k = static_cast<int>(threadIdx.x) % warp_size; k < count; k += warp_size) {
    hidden = hidden || key.begin[k] > first || key.end[k] <= last;
  }
  return __ballot_sync(whole_warp, hidden) == 0;
}

/// Which probabilities of a tile are kept: [columns, fours], with a bit for each of four neighbours
/// of the key list.
constexpr int draw_words(int columns, int keys) {
  return columns * (keys / 4 + 1);
}

/// Returns what a block's columns, keys and draws take of its shared memory, in bytes.
constexpr std::size_t shared_of_scores(int columns, int keys, bool dropout) {
  return 4 * shared_bytes<int>(columns) + 3 * shared_bytes<int>(keys) +
         (dropout ? shared_bytes<int>(draw_words(columns, keys)) : 0);
}

/// Draws for the entries from `first` on. The columns must be loaded and visible to all.
template <int columns, int keys>
__device__ void draw_tile(const AttentionInputs& in, const TileColumns& column, int first,
                          const SharedArray<int>& kept) {
  constexpr int fours = keys / 4 + 1;
  for (int i = static_cast<int>(threadIdx.x); i < columns * fours; i += tile_threads) {
    const int c = i / fours, four = first / 4 + i % fours;
    const std::int64_t place = in.place(column.query[c], column.head[c]);
    kept[i] = in.kept_of_four(place, four);
  }
}

/// 0, or what dropout multiplies with what it keeps. k is which of the tile's keys.
template <int keys>
__device__ float dropout_factor(const AttentionInputs& in, const SharedArray<int>& kept, int c,
                                int first, int k) {
  const int entry = first % 4 + k;
  const int four = kept[c * (keys / 4 + 1) + entry / 4];
  return (four >> entry % 4 & 1) != 0 ? in.dropout.factor : 0;
}

struct Score {
  float value;
  float slope;  // by what the soft cap reads
};

/// The score of a product of head's query and a key; `place` is that of their distance in the bias'
/// table.
__device__ inline Score score_of(const AttentionInputs& in, float product, int head, int place) {
  float value = product * in.scale;
  if (in.bias.bias != nullptr) {
    value += in.bias.bias[static_cast<std::int64_t>(head) * in.bias.distances() + place];
  }
  if (in.soft_cap <= 0) return {value, 1};
  const float part = tanhf(value / in.soft_cap);
  return {in.soft_cap * part, 1 - part * part};
}

/// The score of column c and key k, whether or not they see each other.
__device__ inline Score score_of(const AttentionInputs& in, float product,
                                 const TileColumns& column, int c, const TileKeys& key, int k) {
  if (in.bias.bias == nullptr) return score_of(in, product, 0, 0);
  return score_of(in, product, column.head[c], in.bias.place(key.position[k], column.position[c]));
}

/// body(plain, masked), constants: whether scores are scale * q . k and no probability is dropped,
/// and whether any may be hidden. `all`: of these columns and keys, none is.
template <typename Body>
__device__ void with_kind_of_scores(const AttentionInputs& in, bool all, Body body) {
  if (in.bias.bias != nullptr || in.soft_cap > 0 || in.dropout.on()) {
    body(std::false_type(), std::true_type());
  } else if (!all) {
    body(std::true_type(), std::true_type());
  } else {
    body(std::true_type(), std::false_type());
  }
}

}  // namespace gist::cuda
