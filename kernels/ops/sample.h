#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// How the next token of a row is chosen.
struct SamplingOptions {
  float temperature = 0;     // 0: the largest logit (the smallest id among equals)
  std::int32_t top_k = 0;    // only the k largest logits; 0: all
  float top_p = 1;           // the smallest set of largest logits with at least this probability
  std::int32_t banned = -1;  // the first id that is never chosen (the gist token); -1: none
  std::int32_t banned_count = 1;  // how many are banned, from that one on
};

namespace ops {

/// ids[i] is drawn from logits[i, vocabulary] by uniform[i] in [0, 1): the smallest rank by falling
/// probability, then id, whose cumulative probability exceeds it; -1: not all finite.
struct Sample {
  static constexpr const char* name = "sample";
  Tensor logits;
  SamplingOptions options = {};
  Tensor uniform;
  Tensor ids;  // i32
};

void check(const Sample& op);
OpCost cost(const Sample& op);

}  // namespace ops
}  // namespace gist
