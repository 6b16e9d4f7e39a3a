#include "kernels/cpu/attention_tile.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/workspace_pieces.h"

namespace gist::cpu {
namespace {

TileWorkspace lay_out(const ops::AttentionSizes& sizes, Pieces& pieces) {
  TileWorkspace w{};
  w.key_stride = round_up(sizes.key_dim, widest_vector);
  w.value_stride = round_up(sizes.value_dim, widest_vector);
  w.q = pieces.take(tile_columns * w.key_stride);
  w.rows = pieces.take(panel_columns * w.key_stride);
  w.keys = pieces.take(block_keys * w.key_stride);
  w.values = pieces.take(block_keys * w.value_stride);
  w.scores = pieces.take(block_keys * tile_columns);
  w.out = pieces.take(tile_columns * w.value_stride);
  w.maximum = pieces.take(tile_columns);
  w.sum = pieces.take(tile_columns);
  w.factor = pieces.take(tile_columns);
  w.query_index = pieces.take_integers(tile_columns);
  w.begin = pieces.take_integers(block_keys);
  w.end = pieces.take_integers(block_keys);
  w.query_position = pieces.take_integers(tile_columns);
  w.member = pieces.take_integers(tile_columns);
  w.key_position = pieces.take_integers(block_keys);
  w.index_low = pieces.take_words(tile_columns);
  w.index_high = pieces.take_words(tile_columns);
  w.entry = pieces.take_integers(block_keys);
  return w;
}

/// A tile at work. `c` counts its columns from 0.
struct Tile {
  const AttentionTensors& tensors;
  const AttentionTile& tile;
  const ops::AttentionSizes& sizes;
  const AttentionRow& row;
  std::int64_t group;

  std::int64_t columns() const { return tile.column_end - tile.column_begin; }
  std::int64_t query(std::int64_t c) const { return (tile.column_begin + c) / group; }
  std::int64_t head(std::int64_t c) const {
    return tile.kv_head * group + (tile.column_begin + c) % group;
  }
  /// Which of [queries, heads] a column is.
  std::int64_t position(std::int64_t c) const {
    return (row.query_begin + query(c)) * sizes.heads + head(c);
  }
  std::int32_t index(std::int64_t c) const {
    return row.query_index + static_cast<std::int32_t>(query(c));
  }
};

/// panel[i, c] = q[first + c, i] * scale, for whole vectors of columns.
void load_panel(const Tile& t, std::int64_t first, float scale, Transpose transpose,
                const TileWorkspace& w) {
  const std::int64_t d = t.sizes.key_dim;
  const std::int64_t columns = std::min(panel_columns, t.columns() - first);
  const std::int64_t padded = round_up(columns, widest_vector);
  for (std::int64_t c = 0; c < columns; ++c) {
    const float* q = t.tensors.q + t.position(first + c) * d;
    float* row = w.rows + c * w.key_stride;
    for (std::int64_t i = 0; i < d; ++i) row[i] = q[i] * scale;
    for (std::int64_t i = d; i < w.key_stride; ++i) row[i] = 0;
  }
  std::fill(w.rows + columns * w.key_stride, w.rows + padded * w.key_stride, 0.0F);
  transpose(w.rows, w.key_stride, padded, d, w.q + first * d, panel_columns);
}

void load_queries(const Tile& t, float scale, Transpose transpose, const TileWorkspace& w) {
  const std::int64_t d = t.sizes.key_dim;
  if (t.columns() <= few_columns) {
    std::fill_n(w.q, t.columns() * w.key_stride, 0.0F);
    for (std::int64_t c = 0; c < t.columns(); ++c) {
      const float* q = t.tensors.q + t.position(c) * d;
      for (std::int64_t i = 0; i < d; ++i) w.q[c * w.key_stride + i] = q[i] * scale;
    }
    return;
  }
  for (std::int64_t first = 0; first < t.columns(); first += panel_columns) {
    load_panel(t, first, scale, transpose, w);
  }
}

void start(const Tile& t, const TileWorkspace& w) {
  const std::int64_t columns =
      t.columns() <= few_columns ? few_columns : round_up(t.columns(), widest_vector);
  std::fill_n(w.maximum, columns, -std::numeric_limits<float>::infinity());
  std::fill_n(w.sum, columns, 0.0F);
  std::fill_n(w.factor, columns, 1.0F);
  std::fill_n(w.out, columns * w.value_stride, 0.0F);
  if (t.columns() <= few_columns) std::fill_n(w.scores, few_columns * block_keys, 0.0F);
  for (std::int64_t c = 0; c < columns; ++c) {
    w.query_index[c] = t.index(std::min(c, t.columns() - 1));
  }
}

/// The keys of one call of AttendBlock, as entries of the key list.
struct KeyList {
  std::int64_t entries[block_keys];
  std::int64_t count = 0;
  bool all_visible = true;
};

std::int64_t place(const Tile& t, std::int64_t entry) {
  return t.tensors.slot[entry] * t.sizes.kv_heads + t.tile.kv_head;
}

void announce(const Tile& t, const KeyList& list, TileCall& call) {
  call.next_count = list.count;
  for (std::int64_t k = 0; k < list.count; ++k) {
    const std::int64_t at = place(t, list.entries[k]);
    call.next_keys[k] = t.tensors.keys + at * t.sizes.key_dim;
    call.next_values[k] = t.tensors.values + at * t.sizes.value_dim;
  }
}

void load_row(const float* from, std::int64_t size, std::int64_t stride, float* to) {
  std::memcpy(to, from, static_cast<std::size_t>(size) * sizeof(float));
  for (std::int64_t i = size; i < stride; ++i) to[i] = 0;
}

/// Few columns read each row about once: where rows are whole vectors, from where they are.
bool reads_in_place(const Tile& t, const TileWorkspace& w) {
  return t.columns() <= few_columns && t.sizes.key_dim == w.key_stride &&
         t.sizes.value_dim == w.value_stride;
}

/// Copies the announced rows. Contiguous, they don't collide in the cache as rows of
/// [slots, kv_heads, dim] would, and whole vectors can be read.
void copy_rows(const Tile& t, TileCall& call) {
  const TileWorkspace& w = call.workspace;
  for (std::int64_t k = 0; k < call.next_count; ++k) {
    float* key = w.keys + k * w.key_stride;
    float* value = w.values + k * w.value_stride;
    load_row(call.next_keys[k], t.sizes.key_dim, w.key_stride, key);
    load_row(call.next_values[k], t.sizes.value_dim, w.value_stride, value);
    call.keys[k] = key;
    call.values[k] = value;
  }
}

/// Places past the list hold keys that nothing sees: they go on from the last one.
void load_key_positions(const Tile& t, const KeyList& list, const TileWorkspace& w) {
  for (std::int64_t k = 0; k < list.count; ++k) {
    w.key_position[k] = t.tensors.bias.key_positions[list.entries[k]];
  }
  if (list.count == 0) return;
  for (std::int64_t k = list.count; k < block_keys; ++k) {
    w.key_position[k] = w.key_position[k - 1] + 1;
  }
}

/// The bias of the tile's columns.
TileBias load_bias(const Tile& t, const TileWorkspace& w) {
  const BiasTables& tables = t.tensors.bias;
  TileBias bias = bias_of_head(tables, t.tile.kv_head, t.group);
  if (tables.rising_keys == nullptr) return bias;
  bias.position = w.query_position;
  bias.member = w.member;
  load_bias_columns(tables.query_positions + t.row.query_begin, t.tile.column_begin, t.columns(),
                    round_up(t.columns(), widest_vector), bias);
  return bias;
}

TileDropout load_dropout(const Tile& t, const Dropout& dropout, const TileWorkspace& w) {
  const TileDropout tile{dropout_draw(dropout), w.index_low, w.index_high, w.entry};
  if (!tile.draw.on()) return tile;
  for (std::int64_t c = 0; c < round_up(t.columns(), widest_vector); ++c) {
    tile.set_column(c, t.position(std::min(c, t.columns() - 1)), t.sizes.list);
  }
  return tile;
}

void load_block(const Tile& t, const KeyList& list, TileCall& call) {
  const TileWorkspace& w = call.workspace;
  if (reads_in_place(t, w)) {
    std::copy_n(call.next_keys, list.count, call.keys);
    std::copy_n(call.next_values, list.count, call.values);
  } else {
    copy_rows(t, call);
  }
  for (std::int64_t k = 0; k < list.count; ++k) {
    w.begin[k] = t.tensors.begin[list.entries[k]];
    w.end[k] = t.tensors.end[list.entries[k]];
  }
  std::fill(w.begin + list.count, w.begin + block_keys, std::numeric_limits<std::int32_t>::max());
  std::fill(w.end + list.count, w.end + block_keys, std::numeric_limits<std::int32_t>::min());
  if (call.bias.rising_keys != nullptr) load_key_positions(t, list, w);
  if (call.dropout.draw.on()) {
    for (std::int64_t k = 0; k < list.count; ++k) {
      w.entry[k] = static_cast<std::int32_t>(list.entries[k]);
    }
    std::fill(w.entry + list.count, w.entry + block_keys, 0);
  }
  // Four keys are scored together: the last one stands in for those that are missing.
  if (list.count > 0) {
    for (std::int64_t k = list.count; k % 4 != 0; ++k) call.keys[k] = call.keys[list.count - 1];
  }
}

/// The logarithm of a softmax' denominator, which is 0 where no key was seen.
float log_of_sum(float maximum, float sum) {
  return sum == 0 ? -std::numeric_limits<float>::infinity() : maximum + std::log(sum);
}

void finish(const Tile& t, const TileWorkspace& w) {
  const std::int64_t d = t.sizes.value_dim;
  for (std::int64_t c = 0; c < t.columns(); ++c) {
    const float* out = w.out + c * w.value_stride;
    if (t.tile.partial >= 0) {
      float* partial = t.tensors.partials + (t.tile.partial + c) * (2 + d);
      partial[0] = w.maximum[c];
      partial[1] = w.sum[c];
      std::copy_n(out, d, partial + 2);
      continue;
    }
    const float factor = w.sum[c] == 0 ? 0 : 1 / w.sum[c];
    float* y = t.tensors.y + t.position(c) * d;
    for (std::int64_t i = 0; i < d; ++i) y[i] = out[i] * factor;
    if (t.tensors.log_sum_exp != nullptr) {
      t.tensors.log_sum_exp[t.position(c)] = log_of_sum(w.maximum[c], w.sum[c]);
    }
  }
}

}  // namespace

std::size_t workspace_floats(const ops::AttentionSizes& sizes) {
  Pieces pieces(nullptr);
  lay_out(sizes, pieces);
  return static_cast<std::size_t>(pieces.used());
}

void attend_tile(const AttentionTensors& tensors, const AttentionPlan& plan,
                 const AttentionTile& tile, const AttentionSpec& spec,
                 const ops::AttentionSizes& sizes, float* workspace, const TileKernels& kernels) {
  Pieces pieces(workspace);
  const AttentionRow& row = tensors.rows[tile.row];
  const Tile t{tensors, tile, sizes, row, sizes.heads / sizes.kv_heads};
  TileCall call;
  call.workspace = lay_out(sizes, pieces);
  call.columns = t.columns();
  call.key_dim = sizes.key_dim;
  call.value_dim = sizes.value_dim;
  call.soft_cap = spec.soft_cap;
  const TileWorkspace& w = call.workspace;
  load_queries(t, spec.scale, kernels.transpose, w);
  call.bias = load_bias(t, w);
  call.dropout = load_dropout(t, spec.dropout, w);
  start(t, w);

  // The tile's queries have the indices [first, last].
  const std::int32_t first = t.index(0);
  const std::int32_t last = t.index(t.columns() - 1);
  KeyList loaded;
  KeyList next;
  const auto advance = [&] {
    announce(t, next, call);
    if (loaded.count > 0) kernels.attend(call, loaded.count, loaded.all_visible);
    load_block(t, next, call);
    loaded = next;
    next.count = 0;
    next.all_visible = true;
  };
  const KeyBlock* blocks = plan.blocks.of_row(tile.row);
  for (std::int64_t k = tile.key_begin; k < tile.key_end; k += block_keys) {
    const KeyBlock& block = blocks[k / block_keys];
    if (block.min_begin > last || block.max_end <= first) continue;  // no query sees any
    const std::int64_t end = row.key_begin + std::min(tile.key_end, k + block_keys);
    for (std::int64_t j = row.key_begin + k; j < end; ++j) {
      const std::int32_t key_begin = tensors.begin[j];
      const std::int32_t key_end = tensors.end[j];
      if (key_begin > last || key_end <= first || key_begin >= key_end) continue;
      next.all_visible = next.all_visible && key_begin <= first && key_end > last;
      next.entries[next.count++] = j;
      if (next.count == block_keys) advance();
    }
  }
  advance();
  if (loaded.count > 0) {
    call.next_count = 0;
    kernels.attend(call, loaded.count, loaded.all_visible);
  }
  finish(t, w);
}

void merge_tiles(const AttentionTensors& tensors, const AttentionMerge& merge,
                 const ops::AttentionSizes& sizes) {
  const AttentionTile all{merge.row, merge.kv_head, 0, merge.columns, 0, 0, -1};
  const Tile t{tensors, all, sizes, tensors.rows[merge.row], sizes.heads / sizes.kv_heads};
  const std::int64_t d = sizes.value_dim;
  for (std::int64_t c = 0; c < merge.columns; ++c) {
    const auto partial = [&](std::int64_t part) {
      return tensors.partials + (merge.partial + part * merge.columns + c) * (2 + d);
    };
    float maximum = std::numeric_limits<float>::lowest();
    for (std::int64_t part = 0; part < merge.count; ++part) {
      maximum = std::max(maximum, partial(part)[0]);
    }
    float* y = tensors.y + t.position(c) * d;
    std::fill_n(y, d, 0.0F);
    float sum = 0;
    for (std::int64_t part = 0; part < merge.count; ++part) {
      const float* each = partial(part);
      const float factor = std::exp(each[0] - maximum);
      sum += each[1] * factor;
      for (std::int64_t i = 0; i < d; ++i) y[i] += each[2 + i] * factor;
    }
    const float factor = sum == 0 ? 0 : 1 / sum;
    for (std::int64_t i = 0; i < d; ++i) y[i] *= factor;
    if (tensors.log_sum_exp != nullptr) {
      tensors.log_sum_exp[t.position(c)] = log_of_sum(maximum, sum);
    }
  }
}

}  // namespace gist::cpu
