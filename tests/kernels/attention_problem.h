// Attention calls in the making: rows with their intervals, and the tensors they become.
#pragma once

#include <algorithm>
#include <cmath>
#include <numeric>
#include <ostream>
#include <utility>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {

struct AttentionTensors {
  Tensor q, keys, values, y;
  AttentionKeys visible;
};

/// AttentionDims decide the size of a problem's work.
struct AttentionDims {
  std::int64_t heads, kv_heads, key_dim, value_dim;
  float soft_cap;
};

inline void PrintTo(const AttentionDims& d, std::ostream* out) {
  *out << d.heads << " heads on " << d.kv_heads << ", dims " << d.key_dim << " and " << d.value_dim
       << ", cap " << d.soft_cap;
}

inline AttentionProblem problem_of(const AttentionDims& d) {
  AttentionProblem p;
  p.heads = d.heads;
  p.kv_heads = d.kv_heads;
  p.key_dim = d.key_dim;
  p.value_dim = d.value_dim;
  p.spec.soft_cap = d.soft_cap;
  return p;
}

inline AttentionTensors upload(const AttentionProblem& p, DeviceArrays& arrays) {
  AttentionTensors t;
  t.q = arrays.of({p.queries, p.heads, p.key_dim}, p.q);
  t.keys = arrays.of({p.slots, p.kv_heads, p.key_dim}, p.keys);
  t.values = arrays.of({p.slots, p.kv_heads, p.value_dim}, p.values);
  t.y = arrays.of({p.queries, p.heads, p.value_dim},
                  Floats(static_cast<std::size_t>(p.queries * p.heads * p.value_dim), 99.0F));
  Integers rows;
  for (const AttentionRow& row : p.rows) {
    rows.insert(rows.end(),
                {row.query_begin, row.query_end, row.query_index, row.key_begin, row.key_end});
  }
  const auto list = static_cast<std::int64_t>(p.slot.size());
  t.visible.rows = arrays.of({static_cast<std::int64_t>(p.rows.size()), 5}, rows);
  t.visible.slot = arrays.of({list}, p.slot);
  t.visible.begin = arrays.of({list}, p.begin);
  t.visible.end = arrays.of({list}, p.end);
  return t;
}

inline ops::Attention attention_of(const AttentionTensors& t, const AttentionSpec& spec,
                                   const Tensor& log_sum_exp = {}) {
  return {.q = t.q,
          .keys = t.keys,
          .values = t.values,
          .visible = t.visible,
          .spec = spec,
          .y = t.y,
          .log_sum_exp = log_sum_exp};
}

inline Floats attend(Backend& backend, const AttentionProblem& p) {
  DeviceArrays arrays(backend);
  const AttentionTensors t = upload(p, arrays);
  backend.run(attention_of(t, p.spec));
  return arrays.floats(t.y);
}

struct AttentionResult {
  Floats y, log_sum_exp, dq, dkeys, dvalues;
};

/// Attention and its gradients; what the tensors held before doesn't show.
inline AttentionResult attend_and_back(Backend& backend, const AttentionProblem& p,
                                       const Floats& dy) {
  DeviceArrays arrays(backend);
  const AttentionTensors t = upload(p, arrays);
  const auto filled = [&](const Shape& shape) {
    return arrays.of(shape, Floats(static_cast<std::size_t>(shape.elements()), 99.0F));
  };
  const Tensor log_sum_exp = filled({p.queries, p.heads});
  const Tensor dq = filled(t.q.shape);
  const Tensor dkeys = filled(t.keys.shape);
  const Tensor dvalues = filled(t.values.shape);
  backend.run(attention_of(t, p.spec, log_sum_exp));
  backend.run(ops::AttentionBackward{.forward = attention_of(t, p.spec, log_sum_exp),
                                     .dy = arrays.of(t.y.shape, dy),
                                     .dq = dq,
                                     .dkeys = dkeys,
                                     .dvalues = dvalues});
  return {arrays.floats(t.y), arrays.floats(log_sum_exp), arrays.floats(dq), arrays.floats(dkeys),
          arrays.floats(dvalues)};
}

/// Adds a row of `queries` queries from `query_index` on and `keys` keys with the given intervals.
template <typename Interval>
void add_row(AttentionProblem& p, std::int32_t queries, std::int32_t query_index, std::int32_t keys,
             Interval interval) {
  const auto list = static_cast<std::int32_t>(p.slot.size());
  const auto first = static_cast<std::int32_t>(p.queries);
  p.rows.push_back({first, first + queries, query_index, list, list + keys});
  p.queries += queries;
  for (std::int32_t j = 0; j < keys; ++j) {
    const auto [begin, end] = interval(j);
    p.slot.push_back(list + j);
    p.begin.push_back(begin);
    p.end.push_back(end);
  }
}

using Interval = std::pair<std::int32_t, std::int32_t>;
constexpr std::int32_t forever = 1 << 30;

inline Interval causal(std::int32_t j) {
  return {j, forever};
}

/// Keys and values stand in a cache that is a little larger than the list, in any order.
inline void fill(AttentionProblem& p, Random& random) {
  p.slots = static_cast<std::int64_t>(p.slot.size()) + 3;
  Integers order(static_cast<std::size_t>(p.slots));
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random.engine());
  for (std::int32_t& slot : p.slot) slot = order[static_cast<std::size_t>(slot)];
  p.q = random.floats(p.queries * p.heads * p.key_dim);
  p.keys = random.floats(p.slots * p.kv_heads * p.key_dim);
  p.values = random.floats(p.slots * p.kv_heads * p.value_dim);
  p.spec.scale = 1 / std::sqrt(static_cast<float>(p.key_dim));
}

}  // namespace gist::test
