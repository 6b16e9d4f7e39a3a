// What the configurations of rotary decoders have in common, under the names that transformers gives
// them, for families written against gist/plugin.hpp. Each value is checked as it is read; Rejected
// is thrown as by Config's getters. A family that reads its configuration another way doesn't need
// this header.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "gist/plugin.hpp"

namespace gist::sdk {
inline namespace v0_4 {

/// Frequencies of the pairs of a head's leading `dims` dimensions, in f32, in which the published
/// models were trained: "rope_theta" with "rope_scaling" ("linear" or "llama3"), or both in one
/// object, "rope_parameters", as transformers 5 writes them.
inline std::vector<float> rope_frequencies(const Config& config, int dims, double usual_theta) {
  const bool newer = config.has("rope_parameters");
  const std::string scaling = newer ? "rope_parameters" : "rope_scaling";
  if (newer && config.has("rope_scaling")) {
    config.reject("rope_scaling", "none beside rope_parameters");
  }
  const double theta =
      config.positive(scaling + ".rope_theta", config.positive("rope_theta", usual_theta));
  std::vector<float> inv_freq;
  for (int i = 0; i < dims; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dims);
    inv_freq.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  if (!config.has(scaling)) return inv_freq;

  const std::string type_key =
      scaling + (config.has(scaling + ".rope_type") ? ".rope_type" : ".type");
  const std::string type = newer ? config.string(type_key, "default") : config.string(type_key);
  if (type == "default") return inv_freq;
  if (type != "linear" && type != "llama3") {
    config.reject(type_key, "\"default\", \"linear\" or \"llama3\"");
  }
  const auto factor = static_cast<float>(config.positive(scaling + ".factor"));
  if (type == "linear") {
    for (float& f : inv_freq) f /= factor;
    return inv_freq;
  }
  // llama3: long wavelengths are stretched, short ones are kept, those between are interpolated.
  const auto low = static_cast<float>(config.positive(scaling + ".low_freq_factor"));
  const auto high = static_cast<float>(config.positive(scaling + ".high_freq_factor"));
  if (high <= low) config.reject(scaling + ".high_freq_factor", "more than low_freq_factor");
  const auto context =
      static_cast<float>(config.size(scaling + ".original_max_position_embeddings"));
  for (float& f : inv_freq) {
    const float wavelength = 2 * std::numbers::pi_v<float> / f;
    if (wavelength > context / low) {
      f /= factor;
    } else if (wavelength >= context / high) {
      const float smooth = (context / wavelength - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
  return inv_freq;
}

/// Which layers attend within a window: those that "layer_types" calls "sliding_attention"; `usual`
/// where there is no such list.
inline std::vector<bool> windowed_layers(const Config& config, std::vector<bool> usual) {
  if (!config.has("layer_types")) return usual;
  const std::vector<std::string> types = config.strings("layer_types");
  std::vector<bool> windowed;
  for (const std::string& type : types) {
    if (type != "full_attention" && type != "sliding_attention") break;
    windowed.push_back(type == "sliding_attention");
  }
  if (windowed.size() != usual.size() || types.size() != usual.size()) {
    config.reject("layer_types", "\"full_attention\" or \"sliding_attention\" for each of " +
                                     std::to_string(usual.size()) + " layers");
  }
  return windowed;
}

/// Qwen's rule: with "use_sliding_window" the layers from "max_window_layers" on, or those that
/// "layer_types" names; one for each layer, or none at all where no layer has a window.
inline std::vector<bool> layers_in_window(const Config& config, int layers) {
  const auto count = static_cast<std::size_t>(layers);
  if (!config.boolean("use_sliding_window", false)) {
    for (const bool windowed : windowed_layers(config, std::vector<bool>(count))) {
      if (windowed)
        config.reject("layer_types", "full attention where use_sliding_window is false");
    }
    return {};
  }
  std::vector<bool> usual(count);
  const int first = config.integer_within("max_window_layers", 0, Config::most_layers, 28);
  for (std::size_t i = static_cast<std::size_t>(first); i < count; ++i) usual[i] = true;
  return windowed_layers(config, usual);
}

/// What an architecture's configuration means by leaving a key out.
struct DecoderDefaults {
  const char* model_type = "";
  int head_dim = 0;  // 0: hidden_size / num_attention_heads
  int max_positions = 2048;
  double rms_norm_eps = 1e-6;
  double rope_theta = 10000;
};

/// A decoder whose MLP is gated by silu and whose heads are rotated whole; another is Rejected.
struct DecoderConfig {
  int d_model, mlp_dim, vocabulary, layers, heads, kv_heads, head_dim, max_positions;
  float eps;      // of the RMS norms
  float dropout;  // of the attention's probabilities
  float scale;    // of the scores
  std::vector<float> inv_freq;
  Init random;  // of matrices and tables
  bool tied;    // the head to the embedding

  DecoderConfig(const Config& config, const DecoderDefaults& usual) {
    if (config.string("model_type", usual.model_type) != usual.model_type) {
      config.reject("model_type", std::string("\"") + usual.model_type + "\"");
    }
    if (config.string("hidden_act", "silu") != "silu") config.reject("hidden_act", "\"silu\"");
    config.reject_unless_one({"partial_rotary_factor", "rope_parameters.partial_rotary_factor"});
    d_model = config.size("hidden_size");
    mlp_dim = config.size("intermediate_size");
    vocabulary = config.size("vocab_size");
    layers = config.integer_within("num_hidden_layers", 1, Config::most_layers);
    heads = config.integer_within("num_attention_heads", 1, Config::most_heads);
    kv_heads = config.integer_within("num_key_value_heads", 1, Config::most_heads, heads);
    if (heads % kv_heads != 0) {
      config.reject("num_key_value_heads",
                    "a divisor of num_attention_heads (" + std::to_string(heads) + ")");
    }
    const bool divided = !config.has("head_dim") && usual.head_dim == 0;
    if (divided && d_model % heads != 0) {
      config.reject("hidden_size", "a multiple of num_attention_heads (" + std::to_string(heads) +
                                       "), as head_dim is not given");
    }
    head_dim = config.integer_within("head_dim", 1, Config::most_heads,
                                     divided ? d_model / heads : usual.head_dim);
    if (head_dim % 2 != 0) {
      config.reject(divided ? "hidden_size" : "head_dim",
                    "an even dimension of heads (it is " + std::to_string(head_dim) + ")");
    }
    max_positions =
        config.integer_within("max_position_embeddings", 1, 1 << 30, usual.max_positions);
    eps = static_cast<float>(config.positive("rms_norm_eps", usual.rms_norm_eps));
    dropout = static_cast<float>(config.dropout("attention_dropout", 0));
    scale = 1 / std::sqrt(static_cast<float>(head_dim));
    inv_freq = rope_frequencies(config, head_dim, usual.rope_theta);
    random = normal(config.positive("initializer_range", 0.02));
    tied = config.boolean("tie_word_embeddings", false);
  }

  std::int64_t q_dim() const { return std::int64_t{heads} * head_dim; }
  std::int64_t kv_dim() const { return std::int64_t{kv_heads} * head_dim; }

  /// Declares the sizes of the model and its one stack.
  Stack declare(Declaration& model, int window = 0) const {
    model.d_model = d_model;
    model.vocabulary = vocabulary;
    model.max_positions = max_positions;
    return model.causal_stack({layers, heads, kv_heads, head_dim, head_dim, window});
  }
};

/// A linear map of a layer, with its bias where it has one.
struct Projection {
  Weight weight, bias;
  /// "NAME.weight" [n, k], and "NAME.bias" [n] where there is a bias.
  static Projection declare(Declaration& model, Stack stack, const std::string& name,
                            std::int64_t n, std::int64_t k, Init random, bool with_bias) {
    Projection projection;
    projection.weight = model.matrix(stack, name + ".weight", n, k, random);
    if (with_bias) projection.bias = model.vector(stack, name + ".bias", n, zeros);
    return projection;
  }
  Tensor operator()(Tensor x) const { return linear(x, weight, bias); }
};

}  // namespace v0_4
}  // namespace gist::sdk
