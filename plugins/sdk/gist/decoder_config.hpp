// What the configurations of rotary decoders have in common, under the names that transformers gives
// them, for families written against gist/plugin.hpp. Each value is checked as it is read; Rejected
// is thrown as by Config's getters. A family that reads its configuration another way doesn't need
// this header.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numbers>
#include <string>
#include <vector>

#include "gist/plugin.hpp"

namespace gist::sdk {
#pragma GCC visibility push(hidden)
inline namespace v1_0 {

/// How a head's leading dimensions are rotated. Frequencies are computed in f32, in which the
/// published models were trained.
struct Rotary {
  std::vector<float> inv_freq;
  float scale = 1;         // of sine and cosine
  int most_positions = 0;  // beyond which other frequencies would be due; 0: no such bound

  Rope rope() const { return {.inv_freq = inv_freq, .scale = scale}; }
};

inline Rotary plain_rotary(int dims, double theta) {
  Rotary rotary;
  for (int i = 0; i < dims; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dims);
    rotary.inv_freq.push_back(1.0F / std::pow(static_cast<float>(theta), exponent));
  }
  return rotary;
}

/// Long wavelengths are stretched, short ones are kept, those between are interpolated (Llama 3.1).
inline void stretch_as_llama3(const Config& config, const std::string& scaling, Rotary& rotary) {
  const auto factor = static_cast<float>(config.positive(scaling + ".factor"));
  const auto low = static_cast<float>(config.positive(scaling + ".low_freq_factor"));
  const auto high = static_cast<float>(config.positive(scaling + ".high_freq_factor"));
  if (high <= low) config.reject(scaling + ".high_freq_factor", "more than low_freq_factor");
  const auto context =
      static_cast<float>(config.size(scaling + ".original_max_position_embeddings"));
  for (float& f : rotary.inv_freq) {
    const float wavelength = 2 * std::numbers::pi_v<float> / f;
    if (wavelength > context / low) {
      f /= factor;
    } else if (wavelength >= context / high) {
      const float smooth = (context / wavelength - low) / (high - low);
      f = (1 - smooth) * f / factor + smooth * f;
    }
  }
}

/// YaRN (Peng et al. 2023): dimensions that turn often within the old context are kept, those that
/// turn seldom are stretched, with a ramp between them.
inline void stretch_as_yarn(const Config& config, const std::string& scaling, int dims,
                            double theta, Rotary& rotary) {
  const double factor = config.positive(scaling + ".factor");
  const std::string original = scaling + ".original_max_position_embeddings";
  const double context = config.size(config.has(original) ? original : "max_position_embeddings");
  const auto dimension_of = [&](double turns) {
    return dims * std::log(context / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = dimension_of(config.positive(scaling + ".beta_fast", 32));
  double high = dimension_of(config.positive(scaling + ".beta_slow", 1));
  if (config.boolean(scaling + ".truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dims - 1.0);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < rotary.inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    const auto kept = static_cast<float>(1 - ramp);
    float& f = rotary.inv_freq[i];
    f = f / static_cast<float>(factor) * (1 - kept) + f * kept;
  }
  const auto magnitude = [factor](double weight) {
    return factor <= 1 ? 1.0 : 0.1 * weight * std::log(factor) + 1;
  };
  double usual = magnitude(1);
  if (config.has(scaling + ".mscale") && config.has(scaling + ".mscale_all_dim")) {
    usual = magnitude(config.positive(scaling + ".mscale")) /
            magnitude(config.positive(scaling + ".mscale_all_dim"));
  }
  rotary.scale = static_cast<float>(config.positive(scaling + ".attention_factor", usual));
}

/// LongRoPE (Ding et al. 2024): each frequency has a factor, one for texts within the old context and
/// another for longer ones. Keys that were computed once can't change, so texts stay within it here.
inline void stretch_as_longrope(const Config& config, const std::string& scaling, Rotary& rotary) {
  const std::vector<double> factors = config.numbers(scaling + ".short_factor");
  if (factors.size() != rotary.inv_freq.size()) {
    config.reject(scaling + ".short_factor",
                  "a list of " + std::to_string(rotary.inv_freq.size()) + " numbers");
  }
  for (std::size_t i = 0; i < factors.size(); ++i) {
    if (!(factors[i] > 0)) config.reject(scaling + ".short_factor", "numbers above 0");
    rotary.inv_freq[i] /= static_cast<float>(factors[i]);
  }
  const int most = config.size("max_position_embeddings");
  std::string original = "original_max_position_embeddings";
  if (!config.has(original)) original = scaling + "." + original;
  rotary.most_positions = config.size(original, most);
  const double factor = config.has(original) ? static_cast<double>(most) / rotary.most_positions
                                             : config.positive(scaling + ".factor", 1);
  const double usual =
      factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(rotary.most_positions));
  rotary.scale = static_cast<float>(config.positive(scaling + ".attention_factor", usual));
}

/// Rotation by powers of theta as the object at the path `scaling` changes it, if there is one.
inline Rotary scaled_rotary(const Config& config, int dims, double theta,
                            const std::string& scaling) {
  Rotary rotary = plain_rotary(dims, theta);
  if (!config.has(scaling)) return rotary;
  const std::string type_key =
      scaling + (config.has(scaling + ".rope_type") ? ".rope_type" : ".type");
  // Objects named rope_parameters hold theta, too, and need name no type.
  const std::string type = config.has(scaling + ".rope_theta") || config.has(type_key)
                               ? config.string(type_key, "default")
                               : config.string(type_key);
  if (type == "linear") {
    const auto factor = static_cast<float>(config.positive(scaling + ".factor"));
    for (float& f : rotary.inv_freq) f /= factor;
  } else if (type == "llama3") {
    stretch_as_llama3(config, scaling, rotary);
  } else if (type == "yarn") {
    stretch_as_yarn(config, scaling, dims, theta, rotary);
  } else if (type == "longrope" || type == "su") {
    stretch_as_longrope(config, scaling, rotary);
  } else if (type == "dynamic") {  // as without scaling, up to this bound
    rotary.most_positions = config.size("max_position_embeddings");
  } else if (type != "default") {
    config.reject(type_key,
                  "\"default\", \"linear\", \"dynamic\", \"llama3\", \"yarn\" or \"longrope\"");
  }
  const auto finite = [](float value) { return std::isfinite(value); };
  if (!std::all_of(rotary.inv_freq.begin(), rotary.inv_freq.end(), finite) ||
      !std::isfinite(rotary.scale)) {
    config.reject(scaling,
                  "numbers that give finite frequencies, with a theta of " + std::to_string(theta));
  }
  return rotary;
}

/// Rotation by "rope_theta" and "rope_scaling", or by both in one object, "rope_parameters", as
/// transformers 5 writes them.
inline Rotary rotary_of(const Config& config, int dims, double usual_theta) {
  const bool newer = config.has("rope_parameters");
  const std::string scaling = newer ? "rope_parameters" : "rope_scaling";
  if (newer && config.has("rope_scaling")) {
    config.reject("rope_scaling", "none beside rope_parameters");
  }
  const double theta =
      config.positive(scaling + ".rope_theta", config.positive("rope_theta", usual_theta));
  return scaled_rotary(config, dims, theta, scaling);
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
    config.ignore({"sliding_window", "max_window_layers"});
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
  bool tied = false;
  const char* activation_key = "hidden_act";
  const char* activation = "silu";  // of the MLP's gate; another is Rejected
  bool partly_rotated = false;      // whether "partial_rotary_factor" is read; else it must be 1
};

/// A decoder of rotated heads and a gated MLP.
struct DecoderConfig {
  int d_model, mlp_dim, vocabulary, layers, heads, kv_heads, head_dim, max_positions;
  float eps;      // of the RMS norms
  float dropout;  // of the attention's probabilities
  float scale;    // of the scores
  Rotary rotary;
  Init random;  // of matrices and tables
  bool tied;    // the head to the embedding

  DecoderConfig(const Config& config, const DecoderDefaults& usual) {
    if (config.string("model_type", usual.model_type) != usual.model_type) {
      config.reject("model_type", std::string("\"") + usual.model_type + "\"");
    }
    if (config.string(usual.activation_key, usual.activation) != usual.activation) {
      config.reject(usual.activation_key, std::string("\"") + usual.activation + "\"");
    }
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
    rotary = rotary_of(config, rotated_dims(config, usual), usual.rope_theta);
    if (rotary.most_positions > 0) max_positions = std::min(max_positions, rotary.most_positions);
    random = normal(config.positive("initializer_range", 0.02));
    tied = config.boolean("tie_word_embeddings", usual.tied);
  }

  /// How many of a head's dimensions are rotated.
  int rotated_dims(const Config& config, const DecoderDefaults& usual) const {
    const char* const newer = "rope_parameters.partial_rotary_factor";
    if (!usual.partly_rotated) {
      config.reject_unless_one({"partial_rotary_factor", newer});
      return head_dim;
    }
    const std::string key = config.has(newer) ? newer : "partial_rotary_factor";
    const double share = config.positive(key, 1);
    const int dims = static_cast<int>(head_dim * std::min(share, 1.0));
    if (share > 1 || dims < 2 || dims % 2 != 0) {
      config.reject(key, "a share of a head's " + std::to_string(head_dim) +
                             " dimensions that is an even number of them");
    }
    return dims;
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

}  // namespace v1_0
#pragma GCC visibility pop
}  // namespace gist::sdk
