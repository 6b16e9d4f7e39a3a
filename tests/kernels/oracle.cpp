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

double relative_l2(const Floats& a, const Doubles& b) {
  if (a.size() != b.size()) return std::numeric_limits<double>::infinity();
  double error = 0;
  double norm = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    norm += b[i] * b[i];
  }
  if (std::isnan(error)) return std::numeric_limits<double>::infinity();
  return std::sqrt(norm > 0 ? error / norm : error);
}

Doubles doubles(const Floats& values) {
  return {values.begin(), values.end()};
}

Floats difference(const Floats& a, const Floats& b) {
  Floats result = a;
  for (std::size_t i = 0; i < b.size(); ++i) result.at(i) -= b[i];
  return result;
}

Floats transposed(const Floats& x, std::int64_t rows, std::int64_t columns) {
  Floats y;
  for (std::int64_t j = 0; j < columns; ++j) {
    for (std::int64_t i = 0; i < rows; ++i) y.push_back(x[at(i * columns + j)]);
  }
  return y;
}

Doubles numerical_gradient(const Floats& x, const Floats& dy,
                           const std::function<Doubles(const Doubles& x)>& forward) {
  constexpr double step = 1e-4;
  Doubles moved = doubles(x);
  Doubles gradient;
  for (double& value : moved) {
    const double middle = value;
    value = middle + step;
    const Doubles above = forward(moved);
    value = middle - step;
    const Doubles below = forward(moved);
    value = middle;
    double sum = 0;
    for (std::size_t i = 0; i < dy.size(); ++i) sum += dy[i] * (above[i] - below[i]);
    gradient.push_back(sum / (2 * step));
  }
  return gradient;
}

Doubles gemm_oracle(const Doubles& x, const Doubles& w, const Doubles& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k) {
  Doubles y(at(m * n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      double sum = bias.empty() ? 0 : bias[at(j)];
      for (std::int64_t l = 0; l < k; ++l) sum += x[at(i * k + l)] * w[at(j * k + l)];
      y[at(i * n + j)] = sum;
    }
  }
  return y;
}

Doubles gemm_oracle(const Floats& x, const Floats& w, const Floats& bias, std::int64_t m,
                    std::int64_t n, std::int64_t k) {
  return gemm_oracle(doubles(x), doubles(w), doubles(bias), m, n, k);
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

Doubles rms_norm_oracle(const Doubles& x, const Doubles& weight, double eps) {
  const std::size_t d = weight.size();
  Doubles y(x.size());
  for (std::size_t row = 0; row < x.size(); row += d) {
    double squares = 0;
    for (std::size_t i = 0; i < d; ++i) squares += x[row + i] * x[row + i];
    const double rms = std::sqrt(squares / static_cast<double>(d) + eps);
    for (std::size_t i = 0; i < d; ++i) y[row + i] = x[row + i] / rms * weight[i];
  }
  return y;
}

Doubles layer_norm_oracle(const Doubles& x, const Doubles& weight, const Doubles& bias,
                          double eps) {
  const std::size_t d = weight.size();
  Doubles y(x.size());
  for (std::size_t row = 0; row < x.size(); row += d) {
    double mean = 0, variance = 0;
    for (std::size_t i = 0; i < d; ++i) mean += x[row + i] / static_cast<double>(d);
    for (std::size_t i = 0; i < d; ++i) {
      variance += (x[row + i] - mean) * (x[row + i] - mean) / static_cast<double>(d);
    }
    for (std::size_t i = 0; i < d; ++i) {
      y[row + i] = (x[row + i] - mean) / std::sqrt(variance + eps) * weight[i] + bias[i];
    }
  }
  return y;
}

Doubles silu_gate_oracle(const Doubles& gate, const Doubles& up) {
  Doubles y(gate.size());
  for (std::size_t i = 0; i < y.size(); ++i) y[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
  return y;
}

Doubles rotate_oracle(const Doubles& x, const Floats& rotation, std::int64_t heads,
                      std::int64_t dim, std::int64_t pairs, RopePairs rope_pairs) {
  Doubles y = x;
  for (std::int64_t head = 0; head < static_cast<std::int64_t>(x.size()) / dim; ++head) {
    for (std::int64_t p = 0; p < pairs; ++p) {
      const bool halves = rope_pairs == RopePairs::half;
      const std::size_t a = at(head * dim + (halves ? p : 2 * p));
      const std::size_t b = at(head * dim + (halves ? p + pairs : 2 * p + 1));
      const double cosine = rotation[at(head / heads * 2 * pairs + p)];
      const double sine = rotation[at(head / heads * 2 * pairs + pairs + p)];
      y[a] = x[a] * cosine - x[b] * sine;
      y[b] = x[b] * cosine + x[a] * sine;
    }
  }
  return y;
}

double scaled_and_capped(double x, double scale, double soft_cap) {
  return soft_cap > 0 ? soft_cap * std::tanh(scale * x / soft_cap) : scale * x;
}

CrossEntropy cross_entropy_oracle(const Doubles& logits, const Integers& labels,
                                  const CrossEntropySpec& spec) {
  const std::size_t vocabulary = logits.size() / labels.size();
  CrossEntropy result;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Doubles row(vocabulary);
    for (std::size_t j = 0; j < vocabulary; ++j) {
      row[j] = scaled_and_capped(logits[i * vocabulary + j], spec.scale, spec.soft_cap);
    }
    const auto largest = std::max_element(row.begin(), row.end());
    double sum = 0, mean = 0;
    for (const double each : row) {
      sum += std::exp(each - *largest);
      mean += each / static_cast<double>(vocabulary);
    }
    const double smoothing = spec.label_smoothing;
    result.loss.push_back(*largest + std::log(sum) - (1 - smoothing) * row[at(labels[i])] -
                          smoothing * mean);
    result.best.push_back(static_cast<std::int32_t>(largest - row.begin()));
  }
  return result;
}

CrossEntropyGradients cross_entropy_gradients_oracle(const CrossEntropyProblem& p) {
  Doubles dlogits = gemm_oracle(p.hidden, p.head, p.bias, p.m, p.vocabulary, p.d);
  const double scale = p.spec.scale, soft_cap = p.spec.soft_cap, smoothing = p.spec.label_smoothing;
  CrossEntropySpec plain = p.spec;
  plain.label_smoothing = 0;
  const Doubles plain_loss = cross_entropy_oracle(dlogits, p.labels, plain).loss;
  CrossEntropyGradients g{cross_entropy_oracle(dlogits, p.labels, p.spec).loss,
                          Doubles(p.hidden.size()), Doubles(p.head.size()),
                          Doubles(at(p.vocabulary))};
  for (std::int64_t i = 0; i < p.m; ++i) {
    const double label_logit = dlogits[at(i * p.vocabulary + p.labels[at(i)])];
    const double log_sum_exp = plain_loss[at(i)] + scaled_and_capped(label_logit, scale, soft_cap);
    for (std::int64_t j = 0; j < p.vocabulary; ++j) {
      double& logit = dlogits[at(i * p.vocabulary + j)];
      const double capped = scaled_and_capped(logit, scale, soft_cap);
      const double ratio = soft_cap > 0 ? capped / soft_cap : 0;
      const double wanted = (j == p.labels[at(i)] ? 1 - smoothing : 0) +
                            smoothing / static_cast<double>(p.vocabulary);
      const double error = std::exp(capped - log_sum_exp) - wanted;
      logit = p.spec.factor * error * scale * (1 - ratio * ratio);
      g.dbias[at(j)] += logit;
      for (std::int64_t l = 0; l < p.d; ++l) {
        g.dhidden[at(i * p.d + l)] += logit * p.head[at(j * p.d + l)];
        g.dhead[at(j * p.d + l)] += logit * p.hidden[at(i * p.d + l)];
      }
    }
  }
  return g;
}

Doubles divergence_oracle(const Doubles& teacher, const Doubles& student, std::int64_t m,
                          const std::vector<bool>& choices, double temperature) {
  const auto log_probabilities = [&](const Doubles& logits, std::int64_t row) {
    const std::size_t vocabulary = logits.size() / at(m);
    Doubles result;
    double sum = 0;
    for (std::size_t j = 0; j < choices.size(); ++j) {
      if (!choices[j]) continue;
      result.push_back(logits[at(row) * vocabulary + j] / temperature);
    }
    const double peak = *std::max_element(result.begin(), result.end());
    for (const double each : result) sum += std::exp(each - peak);
    for (double& each : result) each -= peak + std::log(sum);
    return result;
  };
  Doubles divergences;
  for (std::int64_t i = 0; i < m; ++i) {
    const Doubles log_p = log_probabilities(teacher, i), log_q = log_probabilities(student, i);
    double sum = 0;
    for (std::size_t j = 0; j < log_p.size(); ++j) {
      sum += std::exp(log_p[j]) * (log_p[j] - log_q[j]);
    }
    divergences.push_back(sum);
  }
  return divergences;
}

AdamwValue adamw_oracle(const AdamwOptions& options, double gradient, double norm,
                        const AdamwValue& before) {
  if (options.max_norm > 0) gradient *= std::min(1.0, options.max_norm / (norm + 1e-6));
  AdamwValue after;
  after.first_moment = options.beta1 * before.first_moment + (1 - options.beta1) * gradient;
  after.second_moment =
      options.beta2 * before.second_moment + (1 - options.beta2) * gradient * gradient;
  const auto step = static_cast<double>(options.step);
  const double mean = after.first_moment / (1 - std::pow(options.beta1, step));
  const double square = after.second_moment / (1 - std::pow(options.beta2, step));
  after.weight = before.weight * (1 - options.lr * options.weight_decay) -
                 options.lr * mean / (std::sqrt(square) + options.eps);
  return after;
}

namespace {

/// A query head and the keys that it sees.
struct AttentionQuery {
  struct Key {
    std::int64_t place;           // in [slots, kv_heads]
    double score, weight, slope;  // the slope is the score's, by scale * q . k
  };
  std::int64_t place;  // in [queries, heads]
  std::vector<Key> keys;
  double log_sum_exp = -std::numeric_limits<double>::infinity();
};

double dot(const Floats& a, std::int64_t row_a, const Floats& b, std::int64_t row_b,
           std::int64_t dim) {
  double sum = 0;
  for (std::int64_t d = 0; d < dim; ++d) {
    sum += double{a[at(row_a * dim + d)]} * b[at(row_b * dim + d)];
  }
  return sum;
}

AttentionQuery attention_query(const AttentionProblem& p, const AttentionRow& row, std::int64_t i,
                               std::int64_t h) {
  AttentionQuery query{i * p.heads + h, {}};
  const std::int64_t index = row.query_index + i - row.query_begin;
  double largest = -std::numeric_limits<double>::infinity();
  for (std::int64_t j = row.key_begin; j < row.key_end; ++j) {
    if (index < p.begin[at(j)] || index >= p.end[at(j)]) continue;
    const std::int64_t key = p.slot[at(j)] * p.kv_heads + h / (p.heads / p.kv_heads);
    double score = dot(p.q, query.place, p.keys, key, p.key_dim) * p.spec.scale;
    double slope = 1;
    if (p.spec.soft_cap > 0) {
      const double part = std::tanh(score / p.spec.soft_cap);
      score = p.spec.soft_cap * part;
      slope = 1 - part * part;
    }
    query.keys.push_back({key, score, 0, slope});
    largest = std::max(largest, score);
  }
  if (query.keys.empty()) return query;
  double sum = 0;
  for (const auto& key : query.keys) sum += std::exp(key.score - largest);
  query.log_sum_exp = largest + std::log(sum);
  for (auto& key : query.keys) key.weight = std::exp(key.score - largest) / sum;
  return query;
}

/// body(query) for each query head of each row.
template <typename Body>
void for_each_query(const AttentionProblem& p, Body body) {
  for (const AttentionRow& row : p.rows) {
    for (std::int64_t i = row.query_begin; i < row.query_end; ++i) {
      for (std::int64_t h = 0; h < p.heads; ++h) body(attention_query(p, row, i, h));
    }
  }
}

}  // namespace

Doubles attention_oracle(const AttentionProblem& p) {
  Doubles y(at(p.queries * p.heads * p.value_dim));
  for_each_query(p, [&](const AttentionQuery& query) {
    for (const auto& key : query.keys) {
      for (std::int64_t d = 0; d < p.value_dim; ++d) {
        y[at(query.place * p.value_dim + d)] +=
            key.weight * p.values[at(key.place * p.value_dim + d)];
      }
    }
  });
  return y;
}

Doubles log_sum_exp_oracle(const AttentionProblem& p) {
  Doubles result(at(p.queries * p.heads));
  for_each_query(p,
                 [&](const AttentionQuery& query) { result[at(query.place)] = query.log_sum_exp; });
  return result;
}

AttentionGradients attention_backward_oracle(const AttentionProblem& p, const Floats& dy) {
  AttentionGradients g{Doubles(p.q.size()), Doubles(p.keys.size()), Doubles(p.values.size())};
  for_each_query(p, [&](const AttentionQuery& query) {
    double mean = 0;  // of the weights' gradients
    for (const auto& key : query.keys) {
      mean += key.weight * dot(dy, query.place, p.values, key.place, p.value_dim);
    }
    for (const auto& key : query.keys) {
      const double dweight = dot(dy, query.place, p.values, key.place, p.value_dim);
      const double dscore = key.weight * (dweight - mean) * key.slope * p.spec.scale;
      for (std::int64_t d = 0; d < p.value_dim; ++d) {
        g.dvalues[at(key.place * p.value_dim + d)] +=
            key.weight * dy[at(query.place * p.value_dim + d)];
      }
      for (std::int64_t d = 0; d < p.key_dim; ++d) {
        g.dq[at(query.place * p.key_dim + d)] += dscore * p.keys[at(key.place * p.key_dim + d)];
        g.dkeys[at(key.place * p.key_dim + d)] += dscore * p.q[at(query.place * p.key_dim + d)];
      }
    }
  });
  return g;
}

std::int32_t sample_oracle(const Floats& logits, const SamplingOptions& options, double uniform) {
  Integers order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::erase_if(order, [&](std::int64_t id) {
    return options.banned >= 0 && id >= options.banned &&
           id < options.banned + options.banned_count;
  });
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
