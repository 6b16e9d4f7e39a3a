// Every operation as its definition says it, in double precision, one element after the other.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "kernels/backend.h"

namespace gist::test {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;
using Integers = std::vector<std::int32_t>;

/// max |a - b| / max |b|: how the project measures errors.
double relative_error(const Floats& a, const Doubles& b);
/// |a - b| / |b| in the L2 norm, or |a| where b is zero: how it measures those of gradients.
double relative_l2(const Floats& a, const Doubles& b);

Doubles doubles(const Floats& values);
/// a - b
Floats difference(const Floats& a, const Floats& b);
/// x[rows, columns]^T.
Floats transposed(const Floats& x, std::int64_t rows, std::int64_t columns);

/// The gradient by x of the sum of dy * forward(x), by central differences.
Doubles numerical_gradient(const Floats& x, const Floats& dy,
                           const std::function<Doubles(const Doubles& x)>& forward);

/// x[m, k] w[n, k]^T + bias[n]; an empty bias is none.
Doubles gemm_oracle(const Doubles& x, const Doubles& w, const Doubles& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k);
Doubles gemm_oracle(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k);
/// The same, done plainly in bf16: inputs rounded, products summed in f32.
Floats plain_bf16_gemm(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                       std::int64_t n, std::int64_t k);

/// x[.., d] / sqrt(mean(x^2) + eps) * weight[d]
Doubles rms_norm_oracle(const Doubles& x, const Doubles& weight, double eps);
/// (x[.., d] - mean(x)) / sqrt(variance(x) + eps) * weight[d] + bias[d]
Doubles layer_norm_oracle(const Doubles& x, const Doubles& weight, const Doubles& bias, double eps);
/// gate / (1 + exp(-gate)) * up
Doubles silu_gate_oracle(const Doubles& gate, const Doubles& up);
/// x[m, heads, dim] with the pairs of each head rotated by rotation[m, 2, pairs].
Doubles rotate_oracle(const Doubles& x, const Floats& rotation, std::int64_t heads,
                      std::int64_t dim, std::int64_t pairs, RopePairs rope_pairs);

double scaled_and_capped(double x, double scale, double soft_cap);

struct CrossEntropy {
  Doubles loss;
  Integers best;
};
CrossEntropy cross_entropy_oracle(const Doubles& logits, const Integers& labels,
                                  const CrossEntropySpec& spec);

/// The gradients are those of spec.factor * (the sum of the losses of hidden[m, d] and head[v, d]).
struct CrossEntropyGradients {
  Doubles loss, dhidden, dhead, dbias;
};
struct CrossEntropyProblem {
  std::int64_t m = 0, d = 0, vocabulary = 0;
  Floats hidden, head, bias;
  Integers labels;
  CrossEntropySpec spec;
};
CrossEntropyGradients cross_entropy_gradients_oracle(const CrossEntropyProblem& p);

/// KL(softmax(teacher / temperature) || softmax(student / temperature)) of each row, over the ids
/// that are choices.
Doubles divergence_oracle(const Doubles& teacher, const Doubles& student, std::int64_t m,
                          const std::vector<bool>& choices, double temperature);

/// The tolerance of f32 gradients against the oracle's in f64: the relative difference of their L2
/// norms.
constexpr double gradient_tolerance = 1e-5;

/// One step of AdamW on one value, with the gradient's norm over all.
struct AdamwValue {
  double weight = 0, first_moment = 0, second_moment = 0;
};
AdamwValue adamw_oracle(const AdamwOptions& options, double gradient, double norm,
                        const AdamwValue& before);

struct AttentionProblem {
  std::int64_t queries = 0, heads = 1, kv_heads = 1, key_dim = 8, value_dim = 8, slots = 0;
  Floats q, keys, values;
  std::vector<AttentionRow> rows;
  Integers slot, begin, end;
  AttentionSpec spec;
};
Doubles attention_oracle(const AttentionProblem& p);
/// [queries, heads]: the logarithm of each softmax' denominator.
Doubles log_sum_exp_oracle(const AttentionProblem& p);

struct AttentionGradients {
  Doubles dq, dkeys, dvalues;
};
AttentionGradients attention_backward_oracle(const AttentionProblem& p, const Floats& dy);

/// The id that `sample` is documented to choose, by sorting everything.
std::int32_t sample_oracle(const Floats& logits, const SamplingOptions& options, double uniform);

}  // namespace gist::test
