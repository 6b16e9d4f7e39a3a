// Attention calls with a bias, and what a backend makes of them.
#pragma once

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "tests/kernels/attention_problem.h"
#include "tests/kernels/bias_oracle.h"

namespace gist::test {

struct BiasedAttentionFound {
  Floats y, log_sum_exp, dq, dkeys, dvalues, dtable;
  bool operator==(const BiasedAttentionFound&) const = default;
};

inline BiasedAttention unbiased(const AttentionProblem& p) {
  BiasedAttention a;
  a.p = p;
  return a;
}

/// Numbers the queries and keys of each row as they stand in it, and makes up what they hold.
inline void fill(BiasedAttention& a, Random& random) {
  fill(a.p, random);
  a.table = random.floats(a.buckets * a.p.heads);
  a.query_positions.assign(static_cast<std::size_t>(a.p.queries), 0);
  a.key_positions.assign(a.p.slot.size(), 0);
  for (const AttentionRow& row : a.p.rows) {
    std::iota(a.query_positions.begin() + row.query_begin,
              a.query_positions.begin() + row.query_end, row.query_index);
    std::iota(a.key_positions.begin() + row.key_begin, a.key_positions.begin() + row.key_end, 0);
  }
}

/// The problem's spec, with its bias on the backend.
inline AttentionSpec upload_spec(const BiasedAttention& a, DeviceArrays& arrays) {
  AttentionSpec spec = a.p.spec;
  if (a.table.empty()) return spec;
  spec.bias.table = arrays.of({a.buckets, a.p.heads}, a.table);
  spec.bias.query_positions = arrays.of({a.p.queries}, a.query_positions);
  spec.bias.key_positions =
      arrays.of({static_cast<std::int64_t>(a.key_positions.size())}, a.key_positions);
  spec.bias.max_distance = a.max_distance;
  spec.bias.bidirectional = a.bidirectional;
  return spec;
}

/// Attention and its gradients; dtable, where there is a bias, is added to zeros.
inline BiasedAttentionFound attend_and_back(Backend& backend, const BiasedAttention& a,
                                            const Floats& dy) {
  DeviceArrays arrays(backend);
  const AttentionTensors t = upload(a.p, arrays);
  const AttentionSpec spec = upload_spec(a, arrays);
  const Tensor log_sum_exp = arrays.empty({a.p.queries, a.p.heads});
  const Tensor dq = arrays.empty(t.q.shape);
  const Tensor dkeys = arrays.empty(t.keys.shape);
  const Tensor dvalues = arrays.empty(t.values.shape);
  const bool biased = !a.table.empty();
  const Tensor dtable =
      biased ? arrays.of(spec.bias.table.shape, Floats(a.table.size())) : Tensor{};
  backend.run(attention_of(t, spec, log_sum_exp));
  backend.run(ops::AttentionBackward{.forward = attention_of(t, spec, log_sum_exp),
                                     .dy = arrays.of(t.y.shape, dy),
                                     .dq = dq,
                                     .dkeys = dkeys,
                                     .dvalues = dvalues,
                                     .dtable = dtable});
  return {arrays.floats(t.y),     arrays.floats(log_sum_exp),
          arrays.floats(dq),      arrays.floats(dkeys),
          arrays.floats(dvalues), biased ? arrays.floats(dtable) : Floats{}};
}

/// Queries that see no key have an infinite log_sum_exp, which no error can be taken of: where it
/// is expected it must be found, and becomes 0 in both.
inline void take_infinities(Doubles& expected, Floats& found) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] != -std::numeric_limits<double>::infinity()) continue;
    EXPECT_EQ(found[i], expected[i]) << i;
    found[i] = 0;
    expected[i] = 0;
  }
}

inline void expect_equals_oracle(Backend& backend, const BiasedAttention& a) {
  Random random(5);
  const Floats dy = random.floats(a.p.queries * a.p.heads * a.p.value_dim);
  BiasedAttentionFound found = attend_and_back(backend, a, dy);
  BiasedAttentionResult expected = biased_attention_oracle(a, dy);
  take_infinities(expected.log_sum_exp, found.log_sum_exp);
  EXPECT_LT(relative_error(found.y, expected.y), 2e-6);
  EXPECT_LT(relative_error(found.log_sum_exp, expected.log_sum_exp), 2e-6);
  EXPECT_LT(relative_l2(found.dq, expected.dq), 2e-5);
  EXPECT_LT(relative_l2(found.dkeys, expected.dkeys), 2e-5);
  EXPECT_LT(relative_l2(found.dvalues, expected.dvalues), 2e-5);
  EXPECT_LT(relative_l2(found.dtable, expected.dtable), 2e-5);
}

/// The rule for bf16: the error is at most twice that of the same computation done plainly.
inline void expect_as_exact_as_plain(const Floats& found, const Doubles& expected,
                                     const Doubles& plain) {
  const Floats of_plain(plain.begin(), plain.end());
  EXPECT_LE(relative_error(found, expected), 2 * relative_error(of_plain, expected));
  EXPECT_LE(relative_l2(found, expected), 2 * relative_l2(of_plain, expected));
}

}  // namespace gist::test
