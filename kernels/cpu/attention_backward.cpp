#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_backward.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include "kernels/cpu/attention_pairs-inl.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/attention_backward_tile.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/workspace_pieces.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Walks the columns of a tile: which of [queries, heads] each is.
struct ColumnPlace {
  explicit ColumnPlace(const BackwardItem& t)
      : member(t.first_column % t.group),
        group(t.group),
        heads(t.sizes.heads),
        place((t.row.query_begin + t.first_column / t.group) * heads + t.kv_head * group + member) {
  }
  void advance() {
    ++place;
    if (++member == group) {
      member = 0;
      place += heads - group;
    }
  }
  std::int64_t member, group, heads, place;
};

// --- a tile's columns ---

void load_panels(const float* x, std::int64_t stride, std::int64_t width, std::int64_t dim,
                 std::int64_t columns, float* panels) {
  for (std::int64_t c = 0; c < columns; c += panel_columns) {
    transpose(x + c * stride, stride, std::min(panel_columns, columns - c), dim, panels + c * width,
              panel_columns);
  }
}

void load_columns(const BackwardItem& t) {
  const BackwardWorkspace& w = t.w;
  const std::int64_t key_dim = t.sizes.key_dim;
  const std::int64_t value_dim = t.sizes.value_dim;
  ColumnPlace column(t);
  for (std::int64_t c = 0; c < t.columns; ++c, column.advance()) {
    const float* dy = t.tensors.dy + column.place * value_dim;
    load_row(t.tensors.q + column.place * key_dim, key_dim, w.key_width, t.spec.scale,
             w.q + c * w.key_stride);
    load_row(dy, value_dim, w.value_width, 1, w.dy + c * w.value_stride);
    w.log_sum_exp[c] = t.tensors.log_sum_exp[column.place];
    w.mean[c] = dot(dy, t.tensors.y + column.place * value_dim, value_dim);
  }
  for (std::int64_t c = t.columns; c < t.padded_columns; ++c) {
    clear(w.q + c * w.key_stride, w.key_width);
    clear(w.dy + c * w.value_stride, w.value_width);
    w.log_sum_exp[c] = 0;
    w.mean[c] = 0;
  }
  load_panels(w.q, w.key_stride, w.key_width, key_dim, t.padded_columns, w.q_panels);
  load_panels(w.dy, w.value_stride, w.value_width, value_dim, t.padded_columns, w.dy_panels);
  clear(w.dq, t.padded_columns * w.key_stride);
}

/// The bias of a tile's columns.
void load_bias(BackwardItem& t) {
  if (t.bias.rising_queries == nullptr) return;
  load_bias_columns(t.tensors.bias.query_positions + t.row.query_begin, t.first_column, t.columns,
                    t.padded_columns, t.bias);
  if (t.bias_sums.sums == nullptr) return;
  // Diagonals are read from a vector before the columns to one behind them.
  float* dscores = t.w.dscores;
  clear(dscores - widest_vector, widest_vector);
  for (std::int64_t k = 0; k < block_keys; ++k, dscores += pair_stride) {
    clear(dscores + t.padded_columns, widest_vector);
    clear(dscores + tile_columns, widest_vector);
  }
}

void load_dropout(const BackwardItem& t) {
  if (!t.dropout.draw.on()) return;
  ColumnPlace column(t);
  for (std::int64_t c = 0; c < t.columns; ++c, column.advance()) {
    t.dropout.set_column(c, column.place, t.sizes.list);
  }
  for (std::int64_t c = t.columns; c < t.padded_columns; ++c) t.dropout.set_column(c, 0, 0);
}

void store_columns(const BackwardItem& t) {
  ColumnPlace column(t);
  for (std::int64_t c = 0; c < t.columns; ++c, column.advance()) {
    store_row(t.w.dq + c * t.w.key_stride, t.sizes.key_dim, t.spec.scale,
              t.tensors.dq + column.place * t.sizes.key_dim);
  }
}

// --- blocks of keys ---

/// Register tiles may read and write a few keys more than there are.
void pad_block(const BackwardWorkspace& w, std::int64_t n) {
  for (std::int64_t k = n; k < round_up(n, rows); ++k) {
    clear(w.keys + k * w.key_stride, w.key_width);
    clear(w.values + k * w.value_stride, w.value_width);
    w.column_begin[k] = tile_columns;
    w.column_end[k] = 0;
    w.key_position[k] = 0;
    w.list_entry[k] = 0;
  }
}

void finish_block(BackwardItem& t, std::int64_t n) {
  const BackwardWorkspace& w = t.w;
  pad_block(w, n);
  KeyGroup groups[block_keys / rows];
  const std::int64_t count = group_keys(w, n, rows, few_rows, groups);
  for (std::int64_t panel = 0; panel < t.columns; panel += panel_columns) {
    for (std::int64_t g = 0; g < count; ++g) {
      if (groups[g].count == rows) {
        compute_pairs<rows>(t, groups[g], panel);
      } else {
        compute_pairs<few_rows>(t, groups[g], panel);
      }
    }
  }
  for (std::int64_t g = 0; g < count; ++g) {
    clear_hidden(t, groups[g]);
    if (groups[g].count == rows) {
      sum_over_columns<rows>(t, groups[g]);
    } else {
      sum_over_columns<few_rows>(t, groups[g]);
    }
  }
  if (t.bias_sums.sums != nullptr) {
    sum_bias_gradients(t.bias, w.key_position, n, t.columns, w.dscores, pair_stride, t.bias_sums);
  }
  for (std::int64_t k = 0; k < n; ++k) {
    add_row(w.dkeys + k * w.key_stride, t.sizes.key_dim,
            t.tensors.dkeys + w.entry[k] * t.sizes.key_dim);
    add_row(w.dvalues + k * w.value_stride, t.sizes.value_dim,
            t.tensors.dvalues + w.entry[k] * t.sizes.value_dim);
  }
  std::int64_t column = 0;
  for (; column + few_rows < t.columns; column += rows) {
    sum_over_keys<rows>(t, column, groups, count, n);
  }
  for (; column < t.columns; column += few_rows) {
    sum_over_keys<few_rows>(t, column, groups, count, n);
  }
}

/// The column from which on queries have an index of at least `index`.
HWY_INLINE std::int32_t column_of(const BackwardItem& t, std::int32_t index) {
  const std::int64_t column = (std::int64_t{index} - t.row.query_index) * t.group - t.first_column;
  return static_cast<std::int32_t>(std::clamp<std::int64_t>(column, 0, t.columns));
}

void take_tile(BackwardItem& t, const KeyBlock* blocks) {
  const BackwardWorkspace& w = t.w;
  load_columns(t);
  load_bias(t);
  load_dropout(t);
  const auto index_of = [&](std::int64_t c) {
    return t.row.query_index + static_cast<std::int32_t>((t.first_column + c) / t.group);
  };
  const std::int32_t first = index_of(0);
  const std::int32_t last = index_of(t.columns - 1);
  std::int64_t n = 0;
  for (std::int64_t block = t.row.key_begin; block < t.row.key_end; block += block_keys, ++blocks) {
    if (blocks->min_begin > last || blocks->max_end <= first) continue;  // no query sees any
    const std::int64_t end = std::min<std::int64_t>(t.row.key_end, block + block_keys);
    for (std::int64_t j = block; j < end; ++j) {
      w.column_begin[n] = column_of(t, t.tensors.begin[j]);
      w.column_end[n] = column_of(t, t.tensors.end[j]);
      if (w.column_begin[n] >= w.column_end[n]) continue;
      w.entry[n] = t.tensors.slot[j] * t.sizes.kv_heads + t.kv_head;
      load_row(t.tensors.keys + w.entry[n] * t.sizes.key_dim, t.sizes.key_dim, w.key_width, 1,
               w.keys + n * w.key_stride);
      load_row(t.tensors.values + w.entry[n] * t.sizes.value_dim, t.sizes.value_dim, w.value_width,
               1, w.values + n * w.value_stride);
      w.list_entry[n] = static_cast<std::int32_t>(j);
      if (t.bias.rising_queries != nullptr) {
        w.key_position[n] = t.tensors.bias.key_positions[j];
      }
      if (++n == block_keys) {
        finish_block(t, n);
        n = 0;
      }
    }
  }
  if (n > 0) finish_block(t, n);
  store_columns(t);
}

/// The item's sums by distance become sums by bucket: [buckets, group], as of the item's row and
/// key head.
void store_bias_sums(const BackwardItem& t, std::int64_t row_index) {
  const std::int64_t size = t.tensors.buckets * t.group;
  double* to = t.tensors.bias_sums + (row_index * t.sizes.kv_heads + t.kv_head) * size;
  std::fill_n(to, size, 0.0);
  for (std::int64_t i = t.bias_sums.begin; i < t.bias_sums.end; ++i) {
    to[t.tensors.bias.buckets[i / t.group] * t.group + i % t.group] += double{t.bias_sums.sums[i]};
  }
}

BackwardItem start_item(const BackwardTensors& tensors, const ops::AttentionSizes& sizes,
                        const AttentionSpec& spec, const AttentionRow& row, std::int64_t kv_head,
                        float* workspace) {
  const std::int64_t group = sizes.heads / sizes.kv_heads;
  const bool biased = tensors.bias.rising_queries != nullptr;
  const std::int64_t places = biased ? tensors.bias.distances.count() * group : 0;
  BackwardItem t{tensors,
                 sizes,
                 spec,
                 row,
                 kv_head,
                 group,
                 lay_out_backward(sizes, places, workspace),
                 bias_of_head(tensors.bias, kv_head, group),
                 {nullptr, places, 0},
                 {dropout_draw(spec.dropout)}};
  t.dropout.low = t.w.index_low;
  t.dropout.high = t.w.index_high;
  t.dropout.entry = t.w.list_entry;
  t.bias.position = t.w.query_position;
  t.bias.member = t.w.member;
  if (tensors.bias_sums != nullptr) {
    t.bias_sums.sums = t.w.dbias;
    clear(t.w.dbias, round_up(places, widest_vector));
  }
  return t;
}

/// The gradients of a row's queries that read a key head, and of the keys and values that they see.
void take_row(const BackwardTensors& tensors, const ops::AttentionSizes& sizes,
              const AttentionSpec& spec, const KeyBlocks& blocks, std::int32_t row_index,
              std::int64_t kv_head, float* workspace) {
  const AttentionRow& row = tensors.rows[row_index];
  for (std::int64_t j = row.key_begin; j < row.key_end; ++j) {
    const std::int64_t entry = tensors.slot[j] * sizes.kv_heads + kv_head;
    clear_row(tensors.dkeys + entry * sizes.key_dim, sizes.key_dim);
    clear_row(tensors.dvalues + entry * sizes.value_dim, sizes.value_dim);
  }
  BackwardItem t = start_item(tensors, sizes, spec, row, kv_head, workspace);
  const std::int64_t columns = (row.query_end - row.query_begin) * t.group;
  for (; t.first_column < columns; t.first_column += tile_columns) {
    t.columns = std::min(tile_columns, columns - t.first_column);
    t.padded_columns = round_up(t.columns, widest_vector);
    take_tile(t, blocks.of_row(row_index));
  }
  if (t.bias_sums.sums != nullptr) store_bias_sums(t, row_index);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(take_row);

namespace {

/// Zeros the rows [rows, width] that aren't marked.
void clear_others(const std::vector<std::uint8_t>& marked, std::int64_t width, float* to,
                  ThreadPool& threads) {
  parallel_ranges(threads, static_cast<std::int64_t>(marked.size()), 65536,
                  [&](std::int64_t begin, std::int64_t end) {
                    for (std::int64_t i = begin; i < end; ++i) {
                      if (marked[static_cast<std::size_t>(i)] == 0) {
                        std::fill_n(to + i * width, width, 0.0F);
                      }
                    }
                  });
}

}  // namespace

void AttentionBackward::run(const ops::AttentionBackward& op) {
  const ops::Attention& forward = op.forward;
  const AttentionKeys& visible = forward.visible;
  const ops::AttentionSizes sizes = forward.sizes();
  plan_attention_backward(visible, sizes, plan_);
  const BiasTables bias = bias_.make(forward.spec.bias, sizes);
  const bool biased = bias.rising_queries != nullptr;
  const bool sums_bias = biased && op.dtable.data != nullptr;
  const std::int64_t buckets = biased ? forward.spec.bias.table.shape[0] : 0;
  const std::size_t floats = backward_workspace_floats(
      sizes, biased ? bias.distances.count() * (sizes.heads / sizes.kv_heads) : 0);
  auto* workspace =
      workspace_.reserve_array<float>(floats * static_cast<std::size_t>(threads_.count()));
  const BackwardTensors tensors{
      static_cast<const float*>(forward.q.data),
      static_cast<const float*>(forward.keys.data),
      static_cast<const float*>(forward.values.data),
      static_cast<const AttentionRow*>(visible.rows.data),
      static_cast<const std::int32_t*>(visible.slot.data),
      static_cast<const std::int32_t*>(visible.begin.data),
      static_cast<const std::int32_t*>(visible.end.data),
      static_cast<const float*>(forward.y.data),
      static_cast<const float*>(forward.log_sum_exp.data),
      static_cast<const float*>(op.dy.data),
      static_cast<float*>(op.dq.data),
      static_cast<float*>(op.dkeys.data),
      static_cast<float*>(op.dvalues.data),
      bias,
      buckets,
      sums_bias ? bias_sums_.reserve_array<double>(
                      static_cast<std::size_t>(sizes.rows * buckets * sizes.heads))
                : nullptr,
  };
  clear_others(plan_.has_row, sizes.heads * sizes.key_dim, tensors.dq, threads_);
  clear_others(plan_.has_key, sizes.kv_heads * sizes.key_dim, tensors.dkeys, threads_);
  clear_others(plan_.has_key, sizes.kv_heads * sizes.value_dim, tensors.dvalues, threads_);
  const auto take = HWY_DYNAMIC_DISPATCH(take_row);
  constexpr double of_a_pair = 0.15;  // nanoseconds, of a dimension of a pair's gradients
  const double nanoseconds = of_a_pair * plan_.pairs * static_cast<double>(sizes.heads) *
                             static_cast<double>(sizes.key_dim + sizes.value_dim);
  parallel_items(
      threads_, sizes.rows * sizes.kv_heads, nanoseconds, [&](std::int64_t item, int thread) {
        take(tensors, sizes, forward.spec, plan_.blocks,
             plan_.rows[static_cast<std::size_t>(item / sizes.kv_heads)], item % sizes.kv_heads,
             workspace + floats * static_cast<std::size_t>(thread));
      });
  if (sums_bias) {
    add_bias_sums(tensors.bias_sums, sizes, buckets, static_cast<float*>(op.dtable.data));
  }
}

void compute(const ops::AttentionBackward& op, Context& context) {
  context.attention_backward.run(op);
}

}  // namespace gist::cpu
#endif
