#include "tests/core/plain_llama.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gist {
namespace {

/// Everything is computed in T.
template <typename T>
struct Plain {
  using Values = std::vector<T>;
  const LlamaShape& shape;
  const std::map<std::string, Values>& weights;
  Products products;

  Values rounded(Values values) const {
    if (products == Products::exact) return values;
    for (T& value : values) value = bf16_to_f32(f32_to_bf16(static_cast<float>(value)));
    return values;
  }

  /// Returns the factors of attention's own products, which may be rounded.
  Values attended(const Values& values) const {
    return products == Products::bf16_with_attention ? rounded(values) : values;
  }

  /// x[n, k] w[m, k]^T
  Values product(const Values& x, const std::string& name, int k) const {
    const Values left = rounded(x);
    const Values right = rounded(weights.at(name));
    const std::size_t width = static_cast<std::size_t>(k);
    const std::size_t n = left.size() / width;
    const std::size_t m = right.size() / width;
    Values y(n * m);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < m; ++j) {
        T sum = 0;
        for (std::size_t l = 0; l < width; ++l) sum += left[i * width + l] * right[j * width + l];
        y[i * m + j] = sum;
      }
    }
    return y;
  }

  Values norm(const Values& x, const std::string& name) const {
    const Values& weight = weights.at(name);
    const std::size_t d = weight.size();
    Values y(x.size());
    for (std::size_t row = 0; row < x.size(); row += d) {
      T sum = 0;
      for (std::size_t i = 0; i < d; ++i) sum += x[row + i] * x[row + i];
      const T factor = 1 / std::sqrt(sum / static_cast<T>(d) + shape.eps);
      for (std::size_t i = 0; i < d; ++i) y[row + i] = x[row + i] * factor * weight[i];
    }
    return y;
  }

  void rotate(Values& x, int heads) const {
    const std::vector<float> inv_freq = inverse_frequencies(shape);
    const std::size_t pairs = inv_freq.size();
    const std::size_t row = static_cast<std::size_t>(heads) * 2 * pairs;
    for (std::size_t at = 0; at < x.size(); at += 2 * pairs) {
      const auto position = static_cast<float>(at / row);
      for (std::size_t i = 0; i < pairs; ++i) {
        const T angle = position * inv_freq[i];
        const T a = x[at + i];
        const T b = x[at + pairs + i];
        x[at + i] = a * std::cos(angle) - b * std::sin(angle);
        x[at + pairs + i] = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }

  Values attend(const Values& q, const Values& k, const Values& v,
                const std::vector<Interval>& visible) const {
    const std::size_t n = visible.size();
    const auto dim = static_cast<std::size_t>(shape.head_dim());
    const auto heads = static_cast<std::size_t>(shape.heads);
    const auto kv_heads = static_cast<std::size_t>(shape.kv_heads);
    Values y(q.size());
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t h = 0; h < heads; ++h) {
        const T* query = &q[(i * heads + h) * dim];
        const std::size_t kv = h / (heads / kv_heads);
        Values scores(n, -std::numeric_limits<T>::infinity());
        for (std::size_t j = 0; j < n; ++j) {
          const auto index = static_cast<std::int32_t>(i);
          if (index < visible[j].begin || index >= visible[j].end) continue;
          T sum = 0;
          for (std::size_t l = 0; l < dim; ++l) sum += query[l] * k[(j * kv_heads + kv) * dim + l];
          scores[j] = sum / std::sqrt(static_cast<T>(dim));
        }
        const T peak = *std::max_element(scores.begin(), scores.end());
        T total = 0;
        for (T& score : scores) total += score = std::exp(score - peak);
        for (T& score : scores) score /= total;
        scores = attended(scores);
        for (std::size_t j = 0; j < n; ++j) {
          for (std::size_t l = 0; l < dim; ++l) {
            y[(i * heads + h) * dim + l] += scores[j] * v[(j * kv_heads + kv) * dim + l];
          }
        }
      }
    }
    return y;
  }

  /// Logits [n, vocabulary].
  Values logits(const Sequence& sequence, Condition condition) const {
    const int d = shape.d_model;
    const auto visible = causal_visibility(sequence.tokens(), sequence.gists, condition);
    const Values& table = weights.at("model.embed_tokens.weight");
    Values hidden;
    for (const std::int32_t id : sequence.ids) {
      hidden.insert(hidden.end(), table.begin() + id * d, table.begin() + (id + 1) * d);
    }
    for (int layer = 0; layer < shape.layers; ++layer) {
      const std::string prefix = "model.layers." + std::to_string(layer) + ".";
      const Values x = norm(hidden, prefix + "input_layernorm.weight");
      Values q = product(x, prefix + "self_attn.q_proj.weight", d);
      Values k = product(x, prefix + "self_attn.k_proj.weight", d);
      const Values v = product(x, prefix + "self_attn.v_proj.weight", d);
      rotate(q, shape.heads);
      rotate(k, shape.kv_heads);
      const Values y = attend(attended(q), attended(k), attended(v), visible);
      add_to(hidden, product(y, prefix + "self_attn.o_proj.weight", d));
      const Values z = norm(hidden, prefix + "post_attention_layernorm.weight");
      Values gate = product(z, prefix + "mlp.gate_proj.weight", d);
      const Values up = product(z, prefix + "mlp.up_proj.weight", d);
      for (std::size_t i = 0; i < gate.size(); ++i) gate[i] *= up[i] / (1 + std::exp(-gate[i]));
      add_to(hidden, product(gate, prefix + "mlp.down_proj.weight", shape.mlp_dim));
    }
    hidden = norm(hidden, "model.norm.weight");
    return product(hidden, shape.tied ? "model.embed_tokens.weight" : "lm_head.weight", d);
  }

 private:
  static void add_to(Values& x, const Values& y) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
  }
};

}  // namespace

std::vector<float> plain_logits(const LlamaShape& shape, const Weights& weights,
                                const Sequence& sequence, Condition condition, Products products) {
  return Plain<float>{shape, weights, products}.logits(sequence, condition);
}

double plain_loss(const LlamaShape& shape, const DoubleWeights& weights,
                  std::span<const LabelledSequence> sequences) {
  const Plain<double> plain{shape, weights, Products::exact};
  double sum = 0;
  std::int32_t labels = 0;
  for (const LabelledSequence& each : sequences) {
    const std::vector<double> logits = plain.logits(each.sequence, each.condition);
    const std::int32_t n = each.sequence.tokens();
    for (std::int32_t j = n - each.labels; j < n; ++j) {
      const auto row =
          std::span(logits).subspan(static_cast<std::size_t>((j - 1) * shape.vocabulary),
                                    static_cast<std::size_t>(shape.vocabulary));
      double total = 0;
      for (const double logit : row) total += std::exp(logit);
      const auto label = static_cast<std::size_t>(each.sequence.ids[static_cast<std::size_t>(j)]);
      sum += std::log(total) - row[label];
    }
    labels += each.labels;
  }
  return sum / labels;
}

}  // namespace gist
