// LLaMA (Touvron et al. 2023): pre-normed blocks of rotary attention with grouped keys and a gated
// MLP. Weights are named, and rotary frequencies computed, as Hugging Face does.
#include <array>
#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

/// Frequencies of pairs of dimensions in f32, in which the published models were trained.
std::vector<float> inverse_frequencies(const Config& config, int head_dim) {
  // Newer checkpoints hold rope_theta and the scaling in one object.
  const bool newer = config.has("rope_parameters");
  const std::string scaling = newer ? "rope_parameters" : "rope_scaling";
  if (newer && config.has("rope_scaling")) {
    config.reject("rope_scaling", "none beside rope_parameters");
  }
  const double theta =
      config.positive(scaling + ".rope_theta", config.positive("rope_theta", 10000.0));
  std::vector<float> inv_freq;
  for (int i = 0; i < head_dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(head_dim);
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

/// What later architectures added to this one, under the names of their configurations.
void reject_what_is_not_computed(const Config& config) {
  if (config.boolean("use_sliding_window", true)) config.reject_if_there({"sliding_window"});
  config.reject_unless_one({"partial_rotary_factor", "rope_parameters.partial_rotary_factor",
                            "rotary_pct", "embedding_multiplier", "residual_multiplier",
                            "logits_scaling", "logit_scale", "scale_emb"});
  config.reject_if_there({"attention_multiplier", "final_logit_softcapping",
                          "attn_logit_softcapping", "query_pre_attn_scalar", "clip_qkv",
                          "num_local_experts", "num_experts", "no_rope_layers", "scale_depth",
                          "dim_model_base"});
  config.reject_if_true({"qkv_bias", "use_qk_norm", "qk_layernorm", "use_parallel_residual",
                         "parallel_attn", "alibi"});
}

class Llama {
 public:
  static constexpr const char* id = "llama";
  static constexpr std::array architectures{"LlamaForCausalLM"};

  Llama(const Config& config, Declaration& model) {
    if (config.string("model_type", "llama") != "llama") config.reject("model_type", "\"llama\"");
    if (config.string("hidden_act", "silu") != "silu") config.reject("hidden_act", "\"silu\"");
    reject_what_is_not_computed(config);
    const int d = config.size("hidden_size");
    const int mlp_dim = config.size("intermediate_size");
    const int vocabulary = config.size("vocab_size");
    const int layers = config.integer_within("num_hidden_layers", 1, Config::most_layers);
    const int heads = config.integer_within("num_attention_heads", 1, Config::most_heads);
    const int kv_heads = config.integer_within("num_key_value_heads", 1, Config::most_heads, heads);
    if (heads % kv_heads != 0) {
      config.reject("num_key_value_heads",
                    "a divisor of num_attention_heads (" + std::to_string(heads) + ")");
    }
    if (!config.has("head_dim") && d % heads != 0) {
      config.reject("hidden_size", "a multiple of num_attention_heads (" + std::to_string(heads) +
                                       "), as head_dim is not given");
    }
    const int head_dim = config.integer_within("head_dim", 1, Config::most_heads, d / heads);
    if (head_dim % 2 != 0) {
      config.reject(config.has("head_dim") ? "head_dim" : "hidden_size",
                    "an even dimension of heads (it is " + std::to_string(head_dim) + ")");
    }
    eps_ = static_cast<float>(config.positive("rms_norm_eps", 1e-6));
    inv_freq_ = inverse_frequencies(config, head_dim);
    scale_ = 1 / std::sqrt(static_cast<float>(head_dim));
    dropout_ = static_cast<float>(config.dropout("attention_dropout", 0));

    model.d_model = d;
    model.vocabulary = vocabulary;
    model.max_positions = config.integer_within("max_position_embeddings", 1, 1 << 30, 2048);
    const Stack stack = model.causal_stack({layers, heads, kv_heads, head_dim, head_dim});
    const Init random = normal(config.positive("initializer_range", 0.02));
    const bool attention_bias = config.boolean("attention_bias", false);
    const bool mlp_bias = config.boolean("mlp_bias", false);
    const std::string prefix = "model.layers.{layer}.";
    const auto projection = [&](const std::string& name, std::int64_t n, std::int64_t k,
                                bool bias) {
      Projection p{model.matrix(stack, prefix + name + ".weight", n, k, random), {}};
      if (bias) p.bias = model.vector(stack, prefix + name + ".bias", n, zeros);
      return p;
    };
    const std::int64_t q_dim = std::int64_t{heads} * head_dim;
    const std::int64_t kv_dim = std::int64_t{kv_heads} * head_dim;

    embedding_ = model.table("model.embed_tokens.weight", vocabulary, d, random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", d, ones);
    q_ = projection("self_attn.q_proj", q_dim, d, attention_bias);
    k_ = projection("self_attn.k_proj", kv_dim, d, attention_bias);
    v_ = projection("self_attn.v_proj", kv_dim, d, attention_bias);
    o_ = projection("self_attn.o_proj", d, q_dim, attention_bias);
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", d, ones);
    gate_ = projection("mlp.gate_proj", mlp_dim, d, mlp_bias);
    up_ = projection("mlp.up_proj", mlp_dim, d, mlp_bias);
    down_ = projection("mlp.down_proj", d, mlp_dim, mlp_bias);
    norm_ = model.vector("model.norm.weight", d, ones);
    model.head(config.boolean("tie_word_embeddings", false)
                   ? model.tied_matrix("lm_head.weight", embedding_)
                   : model.matrix("lm_head.weight", vocabulary, d, random));
  }

  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Tensor x = rms_norm(hidden, attention_norm_, eps_);
    const Rope rope{.inv_freq = inv_freq_};
    const Tensor mixed = attention(apply(q_, x), apply(k_, x), apply(v_, x),
                                   {.scale = scale_, .rope = &rope, .dropout = dropout_});
    hidden = hidden + apply(o_, mixed);
    const Tensor y = rms_norm(hidden, mlp_norm_, eps_);
    return hidden + apply(down_, silu_gate(apply(gate_, y), apply(up_, y)));
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, eps_); }

 private:
  struct Projection {
    Weight weight, bias;
  };
  static Tensor apply(const Projection& p, Tensor x) { return linear(x, p.weight, p.bias); }

  float eps_ = 0, scale_ = 0, dropout_ = 0;
  std::vector<float> inv_freq_;
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Projection q_, k_, v_, o_, gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Llama);
