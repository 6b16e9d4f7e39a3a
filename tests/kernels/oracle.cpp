#include "tests/kernels/oracle.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace gist::test {
namespace {

std::size_t at(std::int64_t index) {
  return static_cast<std::size_t>(index);
}

}  // namespace

double relative_error(const Floats& a, const Doubles& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double error = 0;
  double largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(a[i] - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    error = std::max(error, difference);
    largest = std::max(largest, std::abs(b[i]));
  }
  return largest > 0 ? error / largest : error;
}

Doubles gemm_oracle(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k) {
  Doubles y(at(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = bias.empty() ? 0 : bias[at(j)];
      for (std::int64_t l = 0; l < k; ++l) sum += double{x[at(i * k + l)]} * w[at(j * k + l)];
      y[at(i * n + j)] = sum;
    }
  }
  return y;
}

Floats plain_bf16_gemm(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                       std::int64_t n, std::int64_t k) {
  const auto rounded = [](float value) { return bf16_to_f32(f32_to_bf16(value)); };
  Floats y(at(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      float sum = 0;
      for (std::int64_t l = 0; l < k; ++l) {
        sum += rounded(x[at(i * k + l)]) * rounded(w[at(j * k + l)]);
      }
      y[at(i * n + j)] = sum + (bias.empty() ? 0 : bias[at(j)]);
    }
  }
  return y;
}

double scaled_and_capped(double x, double scale, double soft_cap) {
  return soft_cap > 0 ? soft_cap * std::tanh(scale * x / soft_cap) : scale * x;
}

CrossEntropy cross_entropy_oracle(const Doubles& logits, const Integers& labels, double scale,
                                  double soft_cap) {
  const std::size_t vocabulary = logits.size() / labels.size();
  CrossEntropy result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Doubles row(vocabulary);
    for (std::size_t j = 0; j < vocabulary; ++j) {
      row[j] = scaled_and_capped(logits[i * vocabulary + j], scale, soft_cap);
    }
    const auto largest = std::max_element(row.begin(), row.end());
    double sum = 0;
    for (const double each : row) sum += std::exp(each - *largest);
    result.loss.push_back(*largest + std::log(sum) - row[at(labels[i])]);
    result.best.push_back(static_cast<std::int32_t>(largest - row.begin()));
  }
  return result;
}

Doubles attention_oracle(const AttentionProblem& p) {
  const std::int64_t group = p.heads / p.kv_heads;
  Doubles y(at(p.queries * p.heads * p.value_dim));
  for (const AttentionRow& row : p.rows) {
    for (std::int64_t i = row.query_begin; i < row.query_end; ++i) {
      const std::int64_t index = row.query_index + i - row.query_begin;
      for (std::int64_t h = 0; h < p.heads; ++h) {
        std::vector<std::pair<std::int64_t, double>> scores;  // key position, score
        double largest = -std::numeric_limits<double>::infinity();
        for (std::int64_t j = row.key_begin; j < row.key_end; ++j) {
          if (index < p.begin[at(j)] || index >= p.end[at(j)]) continue;
          const std::int64_t key = p.slot[at(j)] * p.kv_heads + h / group;
          double score = 0;
          for (std::int64_t d = 0; d < p.key_dim; ++d) {
            score += double{p.q[at((i * p.heads + h) * p.key_dim + d)]} *
                     p.keys[at(key * p.key_dim + d)];
          }
          score = p.spec.soft_cap > 0 ? scaled_and_capped(score, p.spec.scale, p.spec.soft_cap)
                                      : score * p.spec.scale;
          scores.emplace_back(key, score);
          largest = std::max(largest, score);
        }
        double sum = 0;
        for (auto& [key, score] : scores) sum += score = std::exp(score - largest);
        for (const auto& [key, weight] : scores) {
          for (std::int64_t d = 0; d < p.value_dim; ++d) {
            y[at((i * p.heads + h) * p.value_dim + d)] +=
                weight / sum * p.values[at(key * p.value_dim + d)];
          }
        }
      }
    }
  }
  return y;
}

std::int32_t sample_oracle(const Floats& logits, const SamplingOptions& options, double uniform) {
  Integers order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase(order, options.banned);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int32_t a, std::int32_t b) { return logits[at(a)] > logits[at(b)]; });
  if (options.temperature == 0) return order[0];
  if (options.top_k > 0 && at(options.top_k) < order.size()) order.resize(at(options.top_k));
  const auto weight = [&](std::int32_t id) {
    return std::exp((double{logits[at(id)]} - logits[at(order[0])]) / options.temperature);
  };
  double total = 0;
  for (const std::int32_t id : order) total += weight(id);
  double mass = 0;
  std::size_t kept = 0;
  while (kept < order.size() && (options.top_p >= 1 || mass < options.top_p * total)) {
    mass += weight(order[kept++]);
  }
  order.resize(kept);
  double cumulative = 0;
  for (const std::int32_t id : order) {
    cumulative += weight(id);
    if (cumulative > uniform * mass) return id;
  }
  return order.back();
}

}  // namespace gist::test
