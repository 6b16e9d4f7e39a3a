#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention_backward.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include "kernels/cpu/attention_vectors-inl.h"

#include <algorithm>
#include <cstring>

#include "kernels/cpu/attention_backward.h"
#include "kernels/cpu/attention_backward_tile.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/workspace_pieces.h"

// With P = softmax(S) and the gradient dY of Y = P V (rows are queries here):
//   dV = P^T dY,  dP = dY V^T,  dS = P * (dP - rowsum(dY * Y)),  dQ = scale dS K,  dK = dS^T Q
//   scale
// Columns of a tile lie side by side in vectors where pairs are computed (S, dP), dimensions of a
// head where pairs are summed over (dV, dK, dQ).

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One row and key head at work, and its present tile.
struct BackwardItem {
  const BackwardTensors& tensors;
  const checks::AttentionSizes& sizes;
  const AttentionSpec& spec;
  const AttentionRow& row;
  std::int64_t kv_head;
  std::int64_t group;  // query heads of the key head
  BackwardWorkspace w;
  std::int64_t first_column = 0;
  std::int64_t columns = 0;
  std::int64_t padded_columns = 0;  // whole vectors
};

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

void store_columns(const BackwardItem& t) {
  ColumnPlace column(t);
  for (std::int64_t c = 0; c < t.columns; ++c, column.advance()) {
    store_row(t.w.dq + c * t.w.key_stride, t.sizes.key_dim, t.spec.scale,
              t.tensors.dq + column.place * t.sizes.key_dim);
  }
}

// --- pairs: scores, probabilities and their gradients ---

/// weights become probabilities and dscores the scores' gradients, for R keys and a vector of
/// columns.
template <int R, bool capped, bool all_visible>
HWY_INLINE void weigh(const BackwardItem& t, std::int64_t k, std::int64_t column) {
  const BackwardWorkspace& w = t.w;
  const V log_sum_exp = hn::Load(f, w.log_sum_exp + column);
  const V mean = hn::Load(f, w.mean + column);
  const auto columns = hn::Iota(i32, static_cast<std::int32_t>(column));
  for (int r = 0; r < R; ++r) {
    float* weights = w.weights + (k + r) * pair_stride + column;
    float* dscores = w.dscores + (k + r) * pair_stride + column;
    V score = hn::Load(f, weights);
    V slope = hn::Set(f, 1.0F);  // of the soft cap
    if constexpr (capped) {
      const V cap = hn::Set(f, t.spec.soft_cap);
      const V part = hn::Tanh(f, hn::Div(score, cap));
      score = hn::Mul(cap, part);
      slope = hn::NegMulAdd(part, part, slope);
    }
    V weight = exp_of_negative(hn::Sub(score, log_sum_exp));
    V dscore = hn::Mul(weight, hn::Sub(hn::Load(f, dscores), mean));
    if constexpr (capped) dscore = hn::Mul(dscore, slope);
    if constexpr (!all_visible) {
      const auto visible =
          hn::RebindMask(f, hn::AndNot(hn::Lt(columns, hn::Set(i32, w.column_begin[k + r])),
                                       hn::Lt(columns, hn::Set(i32, w.column_end[k + r]))));
      weight = hn::IfThenElseZero(visible, weight);
      dscore = hn::IfThenElseZero(visible, dscore);
    }
    hn::Store(weight, f, weights);
    hn::Store(dscore, f, dscores);
  }
}

template <int R>
HWY_INLINE void weigh(const BackwardItem& t, const KeyGroup& keys, std::int64_t column) {
  const bool all_visible = keys.all_begin <= column && column + lanes <= keys.all_end;
  if (t.spec.soft_cap > 0) {
    weigh<R, true, false>(t, keys.first, column);
  } else if (all_visible) {
    weigh<R, false, true>(t, keys.first, column);
  } else {
    weigh<R, false, false>(t, keys.first, column);
  }
}

template <int R, int N>
HWY_INLINE void compute_pairs(const BackwardItem& t, const KeyGroup& keys, std::int64_t column) {
  const BackwardWorkspace& w = t.w;
  const std::int64_t panel = column / panel_columns * panel_columns;
  const std::int64_t pair = keys.first * pair_stride + column;
  register_tile<R, N, Sums::fresh>(w.keys + keys.first * w.key_stride, w.key_stride, 1,
                                   DenseRows{w.q_panels + panel * w.key_width, panel_columns},
                                   column - panel, t.sizes.key_dim, nullptr, w.weights + pair,
                                   pair_stride);
  register_tile<R, N, Sums::fresh>(w.values + keys.first * w.value_stride, w.value_stride, 1,
                                   DenseRows{w.dy_panels + panel * w.value_width, panel_columns},
                                   column - panel, t.sizes.value_dim, nullptr, w.dscores + pair,
                                   pair_stride);
  for (int j = 0; j < N; ++j) weigh<R>(t, keys, column + j * lanes);
}

/// The pairs of a group of keys and a panel.
template <int R>
void compute_pairs(const BackwardItem& t, const KeyGroup& keys, std::int64_t panel) {
  const std::int64_t end = std::min(keys.any_end, panel + panel_columns);
  std::int64_t column = std::max(keys.any_begin / lanes * lanes, panel);
  // The first vector may stand in the middle of a panel: what is left is counted in vectors.
  for (; column + lanes < end; column += vectors * lanes) {
    if (column + vectors * lanes > panel + panel_columns) break;
    compute_pairs<R, vectors>(t, keys, column);
  }
  for (; column < end; column += lanes) compute_pairs<R, 1>(t, keys, column);
}

/// Columns that see none of a group's keys count as zero where columns are summed in groups.
void clear_hidden(const BackwardItem& t, const KeyGroup& keys) {
  const std::int64_t begin = keys.any_begin / lanes * lanes;
  const std::int64_t end = round_up(keys.any_end, lanes);
  for (std::int64_t k = keys.first; k < keys.first + keys.count; ++k) {
    float* dscores = t.w.dscores + k * pair_stride;
    for (std::int64_t c = 0; c < begin; c += lanes) hn::Store(hn::Zero(f), f, dscores + c);
    for (std::int64_t c = end; c < t.padded_columns; c += lanes) {
      hn::Store(hn::Zero(f), f, dscores + c);
    }
  }
}

// --- sums over pairs ---

/// c[R, width] = start + sum over s < steps of a[r * a_row + s * a_step] b[s].
template <int R, Sums start>
HWY_INLINE void sum_pairs(const float* a, std::int64_t a_row, std::int64_t a_step, DenseRows b,
                          std::int64_t steps, std::int64_t width, float* c, std::int64_t c_row) {
  std::int64_t i = 0;
  for (; i + vectors * lanes <= width; i += vectors * lanes) {
    register_tile<R, vectors, start>(a, a_row, a_step, b, i, steps, nullptr, c + i, c_row);
  }
  for (; i < width; i += lanes) {
    register_tile<R, 1, start>(a, a_row, a_step, b, i, steps, nullptr, c + i, c_row);
  }
}

/// The gradients of a group of keys and of their values.
template <int R>
void sum_over_columns(const BackwardItem& t, const KeyGroup& keys) {
  const BackwardWorkspace& w = t.w;
  const std::int64_t pair = keys.first * pair_stride + keys.any_begin;
  const std::int64_t steps = keys.any_end - keys.any_begin;
  sum_pairs<R, Sums::fresh>(w.weights + pair, pair_stride, 1,
                            {w.dy + keys.any_begin * w.value_stride, w.value_stride}, steps,
                            w.value_width, w.dvalues + keys.first * w.value_stride, w.value_stride);
  sum_pairs<R, Sums::fresh>(w.dscores + pair, pair_stride, 1,
                            {w.q + keys.any_begin * w.key_stride, w.key_stride}, steps, w.key_width,
                            w.dkeys + keys.first * w.key_stride, w.key_stride);
}

/// Adds to the gradients of R columns.
template <int R>
void sum_over_keys(const BackwardItem& t, std::int64_t column, const KeyGroup* groups,
                   std::int64_t count, std::int64_t n) {
  const BackwardWorkspace& w = t.w;
  std::int64_t begin = n;
  std::int64_t end = 0;
  for (std::int64_t g = 0; g < count; ++g) {
    if (groups[g].any_begin >= column + R || groups[g].any_end <= column) continue;
    begin = std::min(begin, groups[g].first);
    end = std::min(n, groups[g].first + groups[g].count);
  }
  if (begin >= end) return;
  sum_pairs<R, Sums::kept>(w.dscores + begin * pair_stride + column, 1, pair_stride,
                           {w.keys + begin * w.key_stride, w.key_stride}, end - begin, w.key_width,
                           w.dq + column * w.key_stride, w.key_stride);
}

// --- blocks of keys ---

/// Register tiles may read and write a few keys more than there are.
void pad_block(const BackwardWorkspace& w, std::int64_t n) {
  for (std::int64_t k = n; k < round_up(n, rows); ++k) {
    clear(w.keys + k * w.key_stride, w.key_width);
    clear(w.values + k * w.value_stride, w.value_width);
    w.column_begin[k] = tile_columns;
    w.column_end[k] = 0;
  }
}

void finish_block(const BackwardItem& t, std::int64_t n) {
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

void take_tile(const BackwardItem& t, const KeyBlock* blocks) {
  const BackwardWorkspace& w = t.w;
  load_columns(t);
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
      if (++n == block_keys) {
        finish_block(t, n);
        n = 0;
      }
    }
  }
  if (n > 0) finish_block(t, n);
  store_columns(t);
}

/// The gradients of a row's queries that read a key head, and of the keys and values that they see.
void take_row(const BackwardTensors& tensors, const checks::AttentionSizes& sizes,
              const AttentionSpec& spec, const KeyBlocks& blocks, std::int32_t row_index,
              std::int64_t kv_head, float* workspace) {
  const AttentionRow& row = tensors.rows[row_index];
  for (std::int64_t j = row.key_begin; j < row.key_end; ++j) {
    const std::int64_t entry = tensors.slot[j] * sizes.kv_heads + kv_head;
    clear_row(tensors.dkeys + entry * sizes.key_dim, sizes.key_dim);
    clear_row(tensors.dvalues + entry * sizes.value_dim, sizes.value_dim);
  }
  BackwardItem t{tensors,
                 sizes,
                 spec,
                 row,
                 kv_head,
                 sizes.heads / sizes.kv_heads,
                 lay_out_backward(sizes, workspace)};
  const std::int64_t columns = (row.query_end - row.query_begin) * t.group;
  for (; t.first_column < columns; t.first_column += tile_columns) {
    t.columns = std::min(tile_columns, columns - t.first_column);
    t.padded_columns = round_up(t.columns, widest_vector);
    take_tile(t, blocks.of_row(row_index));
  }
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
                  int threads) {
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

void AttentionBackward::run(const Tensor& q, const Tensor& keys, const Tensor& values,
                            const AttentionKeys& visible, const AttentionSpec& spec,
                            const checks::AttentionSizes& sizes, const Tensor& y,
                            const Tensor& log_sum_exp, const Tensor& dy,
                            const AttentionGradients& gradients) {
  plan_attention_backward(visible, sizes, plan_);
  const std::size_t floats = backward_workspace_floats(sizes);
  auto* workspace = workspace_.reserve_array<float>(floats * static_cast<std::size_t>(threads_));
  const BackwardTensors tensors{
      static_cast<const float*>(q.data),
      static_cast<const float*>(keys.data),
      static_cast<const float*>(values.data),
      static_cast<const AttentionRow*>(visible.rows.data),
      static_cast<const std::int32_t*>(visible.slot.data),
      static_cast<const std::int32_t*>(visible.begin.data),
      static_cast<const std::int32_t*>(visible.end.data),
      static_cast<const float*>(y.data),
      static_cast<const float*>(log_sum_exp.data),
      static_cast<const float*>(dy.data),
      static_cast<float*>(gradients.dq.data),
      static_cast<float*>(gradients.dkeys.data),
      static_cast<float*>(gradients.dvalues.data),
  };
  clear_others(plan_.has_row, sizes.heads * sizes.key_dim, tensors.dq, threads_);
  clear_others(plan_.has_key, sizes.kv_heads * sizes.key_dim, tensors.dkeys, threads_);
  clear_others(plan_.has_key, sizes.kv_heads * sizes.value_dim, tensors.dvalues, threads_);
  const auto take = HWY_DYNAMIC_DISPATCH(take_row);
  parallel_items(threads_, sizes.rows * sizes.kv_heads, [&](std::int64_t item, int thread) {
    take(tensors, sizes, spec, plan_.blocks,
         plan_.rows[static_cast<std::size_t>(item / sizes.kv_heads)], item % sizes.kv_heads,
         workspace + floats * static_cast<std::size_t>(thread));
  });
}

}  // namespace gist::cpu
#endif
