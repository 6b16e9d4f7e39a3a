// The pairs of queries and keys in the gradient of attention: their probabilities and gradients,
// and the sums over them. Included once a SIMD target.
//
// With P = softmax(S) and the gradient dY of Y = P V (rows are queries here):
//   dV = P^T dY,  dP = dY V^T,  dS = P * (dP - rowsum(dY * Y)),  dQ = scale dS K,  dK = dS^T Q
//   scale
// and dS is the gradient of the bias, too. With dropout's factors M, Y = (P * M) V: dV is made of
// P * M, and dP is (dY V^T) * M.
// Columns of a tile lie side by side in vectors where pairs are computed (S, dP), dimensions of a
// head where pairs are summed over (dV, dK, dQ).
#if defined(GIST_KERNELS_CPU_ATTENTION_PAIRS_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_ATTENTION_PAIRS_INL_H
#undef GIST_KERNELS_CPU_ATTENTION_PAIRS_INL_H
#else
#define GIST_KERNELS_CPU_ATTENTION_PAIRS_INL_H
#endif

#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>

#include "kernels/cpu/attention_backward_tile.h"
#include "kernels/cpu/attention_bias-inl.h"
#include "kernels/cpu/attention_dropout-inl.h"
#include "kernels/cpu/attention_vectors-inl.h"
#include "kernels/cpu/workspace_pieces.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One row and key head at work, and its present tile.
struct BackwardItem {
  const BackwardTensors& tensors;
  const ops::AttentionSizes& sizes;
  const AttentionSpec& spec;
  const AttentionRow& row;
  std::int64_t kv_head;
  std::int64_t group;  // query heads of the key head
  BackwardWorkspace w;
  TileBias bias;
  BiasSums bias_sums;  // none where the table's gradient isn't wanted
  TileDropout dropout;
  std::int64_t first_column = 0;
  std::int64_t columns = 0;
  std::int64_t padded_columns = 0;  // whole vectors
};

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

template <int R>
HWY_INLINE void multiply_by(const V (&factors)[R], float* pairs) {
  for (int r = 0; r < R; ++r, pairs += pair_stride) {
    hn::Store(hn::Mul(hn::Load(f, pairs), factors[r]), f, pairs);
  }
}

template <int R>
HWY_INLINE void weigh_with_dropout(const BackwardItem& t, const KeyGroup& keys,
                                   std::int64_t column) {
  ColumnFactors draws(t.dropout, column);
  V factors[R];
  for (int r = 0; r < R; ++r) factors[r] = draws.of(t.w.list_entry[keys.first + r]);
  const std::int64_t pair = keys.first * pair_stride + column;
  multiply_by(factors, t.w.dscores + pair);
  weigh<R>(t, keys, column);
  multiply_by(factors, t.w.weights + pair);
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
  for (int j = 0; j < N; ++j) {
    if (t.bias.rising_queries != nullptr) {
      add_bias_to_columns(t.bias, column + j * lanes, w.key_position + keys.first, R,
                          w.weights + pair + j * lanes, pair_stride);
    }
    if (t.dropout.draw.on()) {
      weigh_with_dropout<R>(t, keys, column + j * lanes);
    } else {
      weigh<R>(t, keys, column + j * lanes);
    }
  }
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

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
