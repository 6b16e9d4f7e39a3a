// Attention with T5's relative position bias and dropout as their definitions say it, in double
// precision, one pair of a query and a key after the other.
#pragma once

#include <cstdint>

#include "tests/kernels/oracle.h"

namespace gist::test {

/// The bucket of distance = key - query: transformers' T5Attention._relative_position_bucket.
std::int32_t bucket_oracle(std::int32_t distance, std::int32_t buckets, std::int32_t max_distance,
                           bool bidirectional);

struct BiasedAttention {
  AttentionProblem p;
  std::int64_t buckets = 32;
  Floats table;  // [buckets, heads]; empty: no bias, and no positions
  Integers query_positions, key_positions;
  std::int32_t max_distance = 128;
  bool bidirectional = false;
};

/// BiasedAttentionResult is what attention and its gradient give for the output's gradient dy.
struct BiasedAttentionResult {
  Doubles y, log_sum_exp, dq, dkeys, dvalues, dtable;
};

BiasedAttentionResult biased_attention_oracle(const BiasedAttention& a, const Floats& dy);
/// The same, done plainly in bf16: all that products are of is rounded, what is given as well as
/// probabilities and the gradients of scores.
BiasedAttentionResult plain_bf16_attention(const BiasedAttention& a, const Floats& dy);

}  // namespace gist::test
