// Every operation as its definition says it, in double precision, one element after the other.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/backend.h"

namespace gist::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Integers = std::vector<std::int32_t>;

/// max |a - b| / max |b|: how the project measures errors.
double relative_error(const Floats& a, const Doubles& b);

/// x[m, k] w[n, k]^T + bias[n]; an empty bias is none.
Doubles gemm_oracle(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k);
/// The same, done plainly in bf16: inputs rounded, products summed in f32.
Floats plain_bf16_gemm(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                       std::int64_t n, std::int64_t k);

double scaled_and_capped(double x, double scale, double soft_cap);

struct CrossEntropy {
  Doubles loss;
  Integers best;
};
CrossEntropy cross_entropy_oracle(const Doubles& logits, const Integers& labels, double scale,
                                  double soft_cap);

struct AttentionProblem {
  std::int64_t queries = 0, heads = 1, kv_heads = 1, key_dim = 8, value_dim = 8, slots = 0;
  Floats q, keys, values;
  std::vector<AttentionRow> rows;
  Integers slot, begin, end;
  AttentionSpec spec;
};
Doubles attention_oracle(const AttentionProblem& p);

/// The id that `sample` is documented to choose, by sorting everything.
std::int32_t sample_oracle(const Floats& logits, const SamplingOptions& options, double uniform);

}  // namespace gist::test
