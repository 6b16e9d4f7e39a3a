#include "tests/kernels/bias_oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/dropout_oracle.h"

namespace gist::test {
namespace {

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

/// A query head and a key that it sees.
struct Pair {
  std::int64_t key;     // in [slots, kv_heads]
  std::int64_t bias;    // in [buckets, heads]
  double score, slope;  // the slope is the score's, by what the soft cap reads
  double probability = 0;
  double factor = 1;  // dropout's
};

double dot(const Floats& a, std::int64_t row_a, const Floats& b, std::int64_t row_b,
           std::int64_t dim) {
  double sum = 0;
  for (std::int64_t d = 0; d < dim; ++d) {
    sum += double{a[at(row_a * dim + d)]} * b[at(row_b * dim + d)];
  }
  return sum;
}

void add_scaled(double factor, const Floats& from, std::int64_t row_from, Doubles& to,
                std::int64_t row_to, std::int64_t dim) {
  for (std::int64_t d = 0; d < dim; ++d) {
    to[at(row_to * dim + d)] += factor * from[at(row_from * dim + d)];
  }
}

Pair pair_of(const BiasedAttention& a, std::int64_t query, std::int64_t head, std::int64_t entry) {
  const AttentionProblem& p = a.p;
  Pair pair{};
  pair.key = p.slot[at(entry)] * p.kv_heads + head / (p.heads / p.kv_heads);
  pair.score = dot(p.q, query * p.heads + head, p.keys, pair.key, p.key_dim) * p.spec.scale;
  if (!a.table.empty()) {
    const std::int32_t distance = a.key_positions[at(entry)] - a.query_positions[at(query)];
    const std::int32_t bucket = bucket_oracle(distance, static_cast<std::int32_t>(a.buckets),
                                              a.max_distance, a.bidirectional);
    pair.bias = bucket * p.heads + head;
    pair.score += a.table[at(pair.bias)];
  }
  pair.slope = 1;
  if (p.spec.soft_cap > 0) {
    const double part = std::tanh(pair.score / p.spec.soft_cap);
    pair.score = p.spec.soft_cap * part;
    pair.slope = 1 - part * part;
  }
  const auto list = static_cast<std::int64_t>(p.slot.size());
  pair.factor = dropout_factor(
      p.spec.dropout,
      static_cast<std::uint64_t>((query * p.heads + head) * (list / 4 + 1) * 4 + entry));
  return pair;
}

/// The keys that a query head sees, and the logarithm of its softmax' denominator.
std::vector<Pair> pairs_of(const BiasedAttention& a, const AttentionRow& row, std::int64_t query,
                           std::int64_t head, double& log_sum_exp) {
  std::vector<Pair> pairs;
  const std::int64_t index = row.query_index + query - row.query_begin;
  for (std::int64_t j = row.key_begin; j < row.key_end; ++j) {
    if (index < a.p.begin[at(j)] || index >= a.p.end[at(j)]) continue;
    pairs.push_back(pair_of(a, query, head, j));
  }
  double largest = -std::numeric_limits<double>::infinity();
  for (const Pair& pair : pairs) largest = std::max(largest, pair.score);
  double sum = 0;
  for (const Pair& pair : pairs) sum += std::exp(pair.score - largest);
  for (Pair& pair : pairs) pair.probability = std::exp(pair.score - largest) / sum;
  log_sum_exp = pairs.empty() ? largest : largest + std::log(sum);
  return pairs;
}

double bf16(double x) {
  return bf16_to_f32(f32_to_bf16(static_cast<float>(x)));
}
Floats bf16(Floats values) {
  for (float& value : values) value = bf16_to_f32(f32_to_bf16(value));
  return values;
}

/// factor(x): a probability or the gradient of a score, as products read it.
template <typename Factor>
BiasedAttentionResult attention_of(const BiasedAttention& a, const Floats& dy, Factor factor) {
  const AttentionProblem& p = a.p;
  BiasedAttentionResult r{Doubles(at(p.queries * p.heads * p.value_dim)),
                          Doubles(at(p.queries * p.heads)),
                          Doubles(p.q.size()),
                          Doubles(p.keys.size()),
                          Doubles(p.values.size()),
                          Doubles(a.table.size())};
  for (const AttentionRow& row : p.rows) {
    for (std::int64_t i = row.query_begin; i < row.query_end; ++i) {
      for (std::int64_t h = 0; h < p.heads; ++h) {
        const std::int64_t place = i * p.heads + h;
        const auto pairs = pairs_of(a, row, i, h, r.log_sum_exp[at(place)]);
        double mean = 0;  // of the probabilities' gradients
        for (const Pair& pair : pairs) {
          const double weight = pair.probability * pair.factor;
          add_scaled(factor(weight), p.values, pair.key, r.y, place, p.value_dim);
          add_scaled(factor(weight), dy, place, r.dvalues, pair.key, p.value_dim);
          mean += weight * dot(dy, place, p.values, pair.key, p.value_dim);
        }
        for (const Pair& pair : pairs) {
          const double dprobability = pair.factor * dot(dy, place, p.values, pair.key, p.value_dim);
          const double dscore = pair.probability * (dprobability - mean) * pair.slope;
          const double scaled = factor(dscore) * p.spec.scale;
          add_scaled(scaled, p.keys, pair.key, r.dq, place, p.key_dim);
          add_scaled(scaled, p.q, place, r.dkeys, pair.key, p.key_dim);
          if (!a.table.empty()) r.dtable[at(pair.bias)] += dscore;
        }
      }
    }
  }
  return r;
}

}  // namespace

std::int32_t bucket_oracle(std::int32_t distance, std::int32_t buckets, std::int32_t max_distance,
                           bool bidirectional) {
  std::int32_t bucket = 0;
  std::int32_t n = -distance;
  if (bidirectional) {
    buckets /= 2;
    if (n < 0) bucket += buckets;
    n = std::abs(n);
  } else {
    n = std::max(n, 0);
  }
  const std::int32_t exact = buckets / 2;
  if (n < exact) return bucket + n;
  const float far = std::log(static_cast<float>(n) / static_cast<float>(exact)) /
                    static_cast<float>(std::log(double(max_distance) / exact)) *
                    static_cast<float>(buckets - exact);
  return bucket + std::min(exact + static_cast<std::int32_t>(far), buckets - 1);
}

BiasedAttentionResult biased_attention_oracle(const BiasedAttention& a, const Floats& dy) {
  return attention_of(a, dy, [](double x) { return x; });
}

BiasedAttentionResult plain_bf16_attention(const BiasedAttention& a, const Floats& dy) {
  BiasedAttention rounded = a;
  rounded.p.q = bf16(a.p.q);
  rounded.p.keys = bf16(a.p.keys);
  rounded.p.values = bf16(a.p.values);
  return attention_of(rounded, bf16(dy), [](double x) { return bf16(x); });
}

}  // namespace gist::test
