#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include "kernels/cpu/attention_bias-inl.h"
#include "kernels/cpu/attention_dropout-inl.h"
#include "kernels/cpu/attention_vectors-inl.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/cpu/attention.h"
#include "kernels/cpu/attention_tile.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Returns the scores as the softmax of a column takes them: capped, and masked to begin <= query <
/// end where not all keys are visible.
HWY_INLINE V cap_and_mask(const TileCall& t, bool all_visible, V score, hn::Vec<I> query,
                          hn::Vec<I> begin, hn::Vec<I> end) {
  if (t.soft_cap > 0) {
    const V cap = hn::Set(f, t.soft_cap);
    score = hn::Mul(cap, hn::Tanh(f, hn::Div(score, cap)));
  }
  if (all_visible) return score;
  const auto visible = hn::AndNot(hn::Lt(query, begin), hn::Lt(query, end));
  return hn::IfThenElse(hn::RebindMask(f, visible), score,
                        hn::Set(f, -std::numeric_limits<float>::infinity()));
}

/// A column that has seen no key yet has the maximum -infinity, which can't be subtracted.
constexpr float no_maximum = std::numeric_limits<float>::lowest();

HWY_INLINE void prefetch_key(const TileCall& t, std::int64_t k) {
  if (k < t.next_count) prefetch_row(t.next_keys[k], t.key_dim);
}
HWY_INLINE void prefetch_value(const TileCall& t, std::int64_t k) {
  if (k < t.next_count) prefetch_row(t.next_values[k], t.value_dim);
}

// --- many columns: they lie side by side in vectors ---

/// The block's keys that a panel of columns sees any of.
struct KeyRange {
  std::int64_t begin, end;
  bool all_visible;
};

KeyRange visible_range(const TileCall& t, std::int64_t panel, std::int64_t columns,
                       std::int64_t n) {
  const TileWorkspace& w = t.workspace;
  const std::int32_t first = w.query_index[panel * panel_columns];
  const std::int32_t last = w.query_index[panel * panel_columns + columns - 1];
  KeyRange range{n, 0, true};
  for (std::int64_t k = 0; k < n; ++k) {
    if (w.begin[k] > last || w.end[k] <= first) continue;
    range.begin = std::min(range.begin, k);
    range.end = k + 1;
  }
  for (std::int64_t k = range.begin; k < range.end; ++k) {
    range.all_visible = range.all_visible && w.begin[k] <= first && w.end[k] > last;
  }
  return range;
}

template <int N>
HWY_INLINE void score_columns(const TileWorkspace& w, DenseRows q, std::int64_t v,
                              std::int64_t key_dim, KeyRange range, float* scores) {
  for (std::int64_t k = range.begin / rows * rows; k < range.end; k += rows) {
    register_tile<rows, N, Sums::fresh>(w.keys + k * w.key_stride, w.key_stride, 1, q, v, key_dim,
                                        nullptr, scores + k * panel_columns + v, panel_columns);
  }
}

/// scores[k, c] = keys[k] . q[c] for a panel of columns; q: [key_dim, panel_columns].
void score_panel(const TileCall& t, std::int64_t panel, std::int64_t columns, KeyRange range) {
  const TileWorkspace& w = t.workspace;
  const DenseRows q{w.q + panel * t.key_dim * panel_columns, panel_columns};
  float* scores = w.scores + panel * block_keys * panel_columns;
  std::int64_t v = 0;
  for (; v + lanes < columns; v += vectors * lanes)
    score_columns<vectors>(w, q, v, t.key_dim, range, scores);
  if (v < columns) score_columns<1>(w, q, v, t.key_dim, range, scores);
}

void add_bias_to_panel(const TileCall& t, std::int64_t panel, std::int64_t columns,
                       KeyRange range) {
  const TileWorkspace& w = t.workspace;
  float* scores = w.scores + (panel * block_keys + range.begin) * panel_columns;
  for (std::int64_t v = 0; v < columns; v += lanes) {
    add_bias_to_columns(t.bias, panel * panel_columns + v, w.key_position + range.begin,
                        range.end - range.begin, scores + v, panel_columns);
  }
}

/// The online softmax of a block: scores become exp(score - maximum), and the columns' maxima and
/// sums are brought up to date. factor: by how much the earlier sums shrink.
void exponentiate_panel(const TileCall& t, std::int64_t panel, std::int64_t columns,
                        KeyRange range) {
  const TileWorkspace& w = t.workspace;
  for (std::int64_t v = 0; v < columns; v += lanes) {
    float* scores = w.scores + panel * block_keys * panel_columns + v;
    const std::int64_t column = panel * panel_columns + v;
    const auto query = hn::Load(i32, w.query_index + column);
    const V before = hn::Load(f, w.maximum + column);
    V largest = before;
    for (std::int64_t k = range.begin; k < range.end; ++k) {
      V score = hn::Load(f, scores + k * panel_columns);
      if (t.soft_cap > 0 || !range.all_visible) {
        score = cap_and_mask(t, range.all_visible, score, query, hn::Set(i32, w.begin[k]),
                             hn::Set(i32, w.end[k]));
        hn::Store(score, f, scores + k * panel_columns);
      }
      largest = hn::Max(largest, score);
    }
    const V shift = hn::Max(largest, hn::Set(f, no_maximum));
    V sum = hn::Zero(f);
    for (std::int64_t k = range.begin; k < range.end; ++k) {
      const V each = exp_of_negative(hn::Sub(hn::Load(f, scores + k * panel_columns), shift));
      hn::Store(each, f, scores + k * panel_columns);
      sum = hn::Add(sum, each);
    }
    const V factor = exp_of_negative(hn::Sub(before, shift));
    hn::Store(factor, f, w.factor + column);
    hn::Store(hn::MulAdd(hn::Load(f, w.sum + column), factor, sum), f, w.sum + column);
    hn::Store(largest, f, w.maximum + column);
  }
}

/// The sums of the softmax have been taken.
void drop_panel(const TileCall& t, std::int64_t panel, std::int64_t columns, KeyRange range) {
  float* weights = t.workspace.scores + (panel * block_keys + range.begin) * panel_columns;
  for (std::int64_t v = 0; v < columns; v += lanes) {
    drop_columns(t.dropout, panel * panel_columns + v, range.begin, range.end, weights + v,
                 panel_columns);
  }
}

/// out[c] = out[c] * factor[c] + sum over k of weights[c * a_row + k * a_step] values[k], for R
/// columns at a time.
template <int R, class Rows>
HWY_INLINE void add_values(const TileCall& t, std::int64_t first, std::int64_t columns,
                           const float* weights, std::int64_t a_row, std::int64_t a_step,
                           Rows values, std::int64_t n) {
  const TileWorkspace& w = t.workspace;
  constexpr int N = R == 1 ? 4 : vectors;  // enough sums to hide the latency
  for (std::int64_t c = 0; c < columns; c += R) {
    const float* factor = w.factor + first + c;
    float* out = w.out + (first + c) * w.value_stride;
    std::int64_t v = 0;
    for (; v + N * lanes <= w.value_stride; v += N * lanes) {
      register_tile<R, N, Sums::scaled>(weights + c * a_row, a_row, a_step, values, v, n, factor,
                                        out + v, w.value_stride);
    }
    for (; v < w.value_stride; v += lanes) {  // strides are whole vectors
      register_tile<R, 1, Sums::scaled>(weights + c * a_row, a_row, a_step, values, v, n, factor,
                                        out + v, w.value_stride);
    }
  }
}

// --- few columns: keys lie side by side in vectors ---

/// scores[c.., k..] of C columns and four keys; q: [columns, key_stride], scores: [columns,
/// block_keys].
template <int C>
HWY_INLINE void score_four_keys(const TileCall& t, std::int64_t c, std::int64_t k) {
  const TileWorkspace& w = t.workspace;
  const float* const* keys = t.keys + k;
  const float* q = w.q + c * w.key_stride;
  V sums[C][4];
  for (int j = 0; j < C; ++j) {
    for (int r = 0; r < 4; ++r) sums[j][r] = hn::Zero(f);
  }
  for (std::int64_t i = 0; i < w.key_stride; i += lanes) {
    V key[4];
    for (int r = 0; r < 4; ++r) key[r] = hn::LoadU(f, keys[r] + i);
    for (int j = 0; j < C; ++j) {
      const V each = hn::Load(f, q + j * w.key_stride + i);
      for (int r = 0; r < 4; ++r) sums[j][r] = hn::MulAdd(each, key[r], sums[j][r]);
    }
  }
  for (int j = 0; j < C; ++j) {
    store_sums(f, sums[j][0], sums[j][1], sums[j][2], sums[j][3],
               w.scores + (c + j) * block_keys + k);
  }
}

void score_few(const TileCall& t, std::int64_t n) {
  for (std::int64_t k = 0; k < n; k += 4) {
    for (std::int64_t next = k; next < k + 4; ++next) prefetch_key(t, next);
    std::int64_t c = 0;
    for (; c + few_rows <= t.columns; c += few_rows) score_four_keys<few_rows>(t, c, k);
    for (; c < t.columns; ++c) score_four_keys<1>(t, c, k);
  }
}

/// As exponentiate_panel. Places from n on up to block_keys hold keys that nothing sees.
void exponentiate_few(const TileCall& t, std::int64_t n, bool all_visible) {
  const TileWorkspace& w = t.workspace;
  for (std::int64_t c = 0; c < t.columns; ++c) {
    float* scores = w.scores + c * block_keys;
    const auto query = hn::Set(i32, w.query_index[c]);
    V largest = hn::Set(f, w.maximum[c]);
    for (std::int64_t k = 0; k < n; k += lanes) {
      const V score = cap_and_mask(t, all_visible && n == block_keys, hn::Load(f, scores + k),
                                   query, hn::Load(i32, w.begin + k), hn::Load(i32, w.end + k));
      hn::Store(score, f, scores + k);
      largest = hn::Max(largest, score);
    }
    const float maximum = hn::GetLane(hn::MaxOfLanes(f, largest));
    const V shift = hn::Set(f, std::max(maximum, no_maximum));
    V sum = hn::Zero(f);
    for (std::int64_t k = 0; k < n; k += lanes) {
      const V each = exp_of_negative(hn::Sub(hn::Load(f, scores + k), shift));
      hn::Store(each, f, scores + k);
      sum = hn::Add(sum, each);
    }
    w.factor[c] = hn::GetLane(exp_of_negative(hn::Sub(hn::Set(f, w.maximum[c]), shift)));
    w.sum[c] = w.sum[c] * w.factor[c] + hn::GetLane(hn::SumOfLanes(f, sum));
    w.maximum[c] = maximum;
  }
}

void attend_few(const TileCall& t, std::int64_t n, bool all_visible) {
  score_few(t, n);
  if (t.bias.rising_keys != nullptr) {
    for (std::int64_t c = 0; c < t.columns; ++c) {
      add_bias_to_keys(t.bias, c, t.workspace.key_position, n, t.workspace.scores + c * block_keys);
    }
  }
  exponentiate_few(t, n, all_visible);
  if (t.dropout.draw.on()) {
    for (std::int64_t c = 0; c < t.columns; ++c) {
      drop_keys(t.dropout, c, n, t.workspace.scores + c * block_keys);
    }
  }
  for (std::int64_t next = 0; next < block_keys; ++next) prefetch_value(t, next);
  const ListedRows values{t.values};
  if (t.columns == 1) {
    add_values<1>(t, 0, 1, t.workspace.scores, block_keys, 1, values, n);
  } else {
    add_values<4>(t, 0, t.columns, t.workspace.scores, block_keys, 1, values, n);
  }
}

void attend_many(const TileCall& t, std::int64_t n, bool all_visible) {
  const TileWorkspace& w = t.workspace;
  for (std::int64_t panel = 0; panel * panel_columns < t.columns; ++panel) {
    const std::int64_t columns = std::min(panel_columns, t.columns - panel * panel_columns);
    const KeyRange range = all_visible ? KeyRange{0, n, true} : visible_range(t, panel, columns, n);
    if (range.begin >= range.end) continue;
    score_panel(t, panel, columns, range);
    if (t.bias.rising_queries != nullptr) add_bias_to_panel(t, panel, columns, range);
    exponentiate_panel(t, panel, columns, range);
    if (t.dropout.draw.on()) drop_panel(t, panel, columns, range);
    const float* weights = w.scores + (panel * block_keys + range.begin) * panel_columns;
    const DenseRows values{w.values + range.begin * w.value_stride, w.value_stride};
    add_values<rows>(t, panel * panel_columns, columns, weights, 1, panel_columns, values,
                     range.end - range.begin);
  }
}

void attend_block(const TileCall& t, std::int64_t n, bool all_visible) {
  if (t.columns <= few_columns) {
    attend_few(t, n, all_visible);
  } else {
    attend_many(t, n, all_visible);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(attend_block);
HWY_EXPORT(transpose);

namespace {

/// About how long one thread takes: tiles of few columns wait for their keys and values.
double nanoseconds_of(const AttentionPlan& plan, const ops::AttentionSizes& sizes) {
  constexpr double of_a_pair = 0.04, of_a_key = 0.1;  // a dimension
  double sum = 0;
  for (const AttentionTile& tile : plan.tiles) {
    const auto keys = static_cast<double>(tile.key_end - tile.key_begin);
    const auto columns = static_cast<double>(tile.column_end - tile.column_begin);
    sum += keys * (of_a_key + of_a_pair * columns);
  }
  return sum * static_cast<double>(sizes.key_dim + sizes.value_dim);
}

}  // namespace

void Attention::run(const ops::Attention& op) {
  const AttentionKeys& visible = op.visible;
  const ops::AttentionSizes sizes = op.sizes();
  plan_attention(visible, sizes, plan_);
  const std::size_t floats = workspace_floats(sizes);
  auto* workspace =
      workspace_.reserve_array<float>(floats * static_cast<std::size_t>(threads_.count()));
  const AttentionTensors tensors{
      static_cast<const float*>(op.q.data),
      static_cast<const float*>(op.keys.data),
      static_cast<const float*>(op.values.data),
      static_cast<const AttentionRow*>(visible.rows.data),
      static_cast<const std::int32_t*>(visible.slot.data),
      static_cast<const std::int32_t*>(visible.begin.data),
      static_cast<const std::int32_t*>(visible.end.data),
      static_cast<float*>(op.y.data),
      static_cast<float*>(op.log_sum_exp.data),
      partials_.reserve_array<float>(
          static_cast<std::size_t>(plan_.partial_columns * (2 + sizes.value_dim))),
      bias_.make(op.spec.bias, sizes),
  };
  const TileKernels kernels{HWY_DYNAMIC_DISPATCH(attend_block), HWY_DYNAMIC_DISPATCH(transpose)};
  parallel_items(threads_, static_cast<std::int64_t>(plan_.tiles.size()),
                 nanoseconds_of(plan_, sizes), [&](std::int64_t item, int thread) {
                   const AttentionTile& tile = plan_.tiles[static_cast<std::size_t>(item)];
                   attend_tile(tensors, plan_, tile, op.spec, sizes,
                               workspace + floats * static_cast<std::size_t>(thread), kernels);
                 });
  const double of_merges = static_cast<double>(plan_.partial_columns * (2 + sizes.value_dim));
  parallel_items(threads_, static_cast<std::int64_t>(plan_.merges.size()), of_merges,
                 [&](std::int64_t item, int) {
                   merge_tiles(tensors, plan_.merges[static_cast<std::size_t>(item)], sizes);
                 });
}

void compute(const ops::Attention& op, Context& context) {
  context.attention.run(op);
}

}  // namespace gist::cpu
#endif
