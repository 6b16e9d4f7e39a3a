// Gemma 2 (Gemma team 2024, arXiv:2408.00118) and the text models of Gemma 3 (2025, arXiv:2503.19786):
// norms before and behind attention and MLP, whose weights are stored less 1, scaled embeddings, and
// layers within a window between others without one. Weights are named as Hugging Face does.
#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

/// What both have in common; each says how a layer's queries and keys become attention.
class Gemma {
 public:
  Gemma(const Config& config, Declaration& model, const DecoderDefaults& usual,
        const std::vector<bool>& windowed)
      : config_(config, usual), windowed_(windowed) {
    DecoderConfig& c = config_;
    config.reject_if_true({"use_bidirectional_attention"});
    // What hidden_activation replaced; what layer_types says, too; of a window that no layer has.
    config.ignore(
        {"hidden_act", "sliding_window_pattern", "_sliding_window_pattern", "sliding_window"});
    c.scale = 1 / std::sqrt(static_cast<float>(config.positive("query_pre_attn_scalar", 256)));
    const bool bias = config.boolean("attention_bias", false);
    const bool any = std::find(windowed_.begin(), windowed_.end(), true) != windowed_.end();
    stack_ = c.declare(model, any ? config.integer_within("sliding_window", 1, 1 << 30, 4096) : 0);
    const auto projection = [&](const std::string& name, std::int64_t n, std::int64_t k,
                                bool with_bias) {
      return Projection::declare(model, stack_, prefix + name, n, k, c.random, with_bias);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    before_attention_ = norm(model, "input_layernorm", c.d_model);
    q_ = projection("self_attn.q_proj", c.q_dim(), c.d_model, bias);
    k_ = projection("self_attn.k_proj", c.kv_dim(), c.d_model, bias);
    v_ = projection("self_attn.v_proj", c.kv_dim(), c.d_model, bias);
    o_ = projection("self_attn.o_proj", c.d_model, c.q_dim(), bias);
    behind_attention_ = norm(model, "post_attention_layernorm", c.d_model);
    before_mlp_ = norm(model, "pre_feedforward_layernorm", c.d_model);
    gate_ = projection("mlp.gate_proj", c.mlp_dim, c.d_model, false);
    up_ = projection("mlp.up_proj", c.mlp_dim, c.d_model, false);
    down_ = projection("mlp.down_proj", c.d_model, c.mlp_dim, false);
    behind_mlp_ = norm(model, "post_feedforward_layernorm", c.d_model);
    norm_ = model.vector("model.norm.weight", c.d_model, zeros);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random),
               {}, 1, soft_cap(config, "final_logit_softcapping"));
  }

  Tensor enter(Pass pass, int) const {
    return std::sqrt(static_cast<float>(config_.d_model)) * pass.embedding(embedding_);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return normed(hidden, norm_); }

 protected:
  static constexpr const char* prefix = "model.layers.{layer}.";

  /// Weights are stored less 1.
  Tensor normed(Tensor x, Weight weight) const { return rms_norm(x, weight, config_.eps, 1); }
  Weight norm(Declaration& model, const std::string& name, std::int64_t n) const {
    return model.vector(stack_, prefix + name + ".weight", n, zeros);
  }
  static float soft_cap(const Config& config, const std::string& key) {
    return config.has(key) ? static_cast<float>(config.positive(key)) : 0;
  }
  bool windowed(int layer) const { return windowed_[static_cast<std::size_t>(layer)]; }

  Tensor attend(int layer, Tensor q, Tensor k, Tensor v, const Rope& rope,
                float soft_cap = 0) const {
    return attention(q, k, v,
                     {.scale = config_.scale,
                      .soft_cap = soft_cap,
                      .rope = &rope,
                      .dropout = config_.dropout,
                      .windowed = windowed(layer)});
  }

  /// A layer around its attention, which takes queries and keys of the normed hidden states.
  template <typename Mix>
  Tensor layer_around(Tensor hidden, const Mix& mix) const {
    const Tensor x = normed(hidden, before_attention_);
    hidden = hidden + normed(o_(mix(q_(x), k_(x), v_(x))), behind_attention_);
    const Tensor y = normed(hidden, before_mlp_);
    const Tensor fed = down_(gated(Activation::gelu_new, gate_(y), up_(y)));
    return hidden + normed(fed, behind_mlp_);
  }

  DecoderConfig config_;
  std::vector<bool> windowed_;
  Stack stack_;

 private:
  Weight embedding_, before_attention_, behind_attention_, before_mlp_, behind_mlp_, norm_;
  Projection q_, k_, v_, o_, gate_, up_, down_;
};

/// Every so many-th layer sees everything, where "layer_types" doesn't say which do.
std::vector<bool> all_but_every(int nth, const Config& config) {
  const int layers = config.integer_within("num_hidden_layers", 1, Config::most_layers);
  std::vector<bool> windowed;
  windowed.reserve(static_cast<std::size_t>(layers));
  for (int i = 0; i < layers; ++i) windowed.push_back((i + 1) % nth != 0);
  return windowed_layers(config, windowed);
}

/// Scores and logits are capped.
class Gemma2 : public Gemma {
 public:
  static constexpr const char* id = "gemma2";
  static constexpr std::array architectures{"Gemma2ForCausalLM"};

  Gemma2(const Config& config, Declaration& model)
      : Gemma(config, model,
              {.model_type = "gemma2",
               .head_dim = 256,
               .max_positions = 8192,
               .tied = true,
               .activation_key = "hidden_activation",
               .activation = "gelu_pytorch_tanh"},
              all_but_every(2, config)),
        soft_cap_(soft_cap(config, "attn_logit_softcapping")) {}

  Tensor layer(Pass, int, int layer, Tensor hidden) const {
    const Rope rope = config_.rotary.rope();
    return layer_around(hidden, [&](Tensor q, Tensor k, Tensor v) {
      return attend(layer, q, k, v, rope, soft_cap_);
    });
  }

 private:
  float soft_cap_;  // 0: none
};

/// Heads' queries and keys are normed, and layers within the window are rotated by other frequencies.
class Gemma3 : public Gemma {
 public:
  static constexpr const char* id = "gemma3";
  static constexpr std::array architectures{"Gemma3ForCausalLM"};

  Gemma3(const Config& config, Declaration& model)
      : Gemma(config, model,
              {.model_type = "gemma3_text",
               .head_dim = 256,
               .max_positions = 131072,
               .rope_theta = 1e6,
               .tied = true,
               .activation_key = "hidden_activation",
               .activation = "gelu_pytorch_tanh"},
              all_but_every(config.integer_within(pattern_key(config), 1, 1 << 20, 6), config)) {
    config.reject_if_there({"attn_logit_softcapping"});
    q_norm_ = norm(model, "self_attn.q_norm", config_.head_dim);
    k_norm_ = norm(model, "self_attn.k_norm", config_.head_dim);
    const int dims = config_.head_dim;
    if (config.has("rope_parameters.full_attention")) {  // as transformers 5 writes it
      config_.rotary = of_kind(config, "rope_parameters.full_attention", 1e6);
      local_ = of_kind(config, "rope_parameters.sliding_attention", 1e4);
    } else {
      local_ = plain_rotary(dims, config.positive("rope_local_base_freq", 1e4));
    }
  }

  Tensor layer(Pass, int, int layer, Tensor hidden) const {
    const Rope rope = windowed(layer) ? local_.rope() : config_.rotary.rope();
    return layer_around(hidden, [&](Tensor q, Tensor k, Tensor v) {
      return attend(layer, normed(q, q_norm_), normed(k, k_norm_), v, rope);
    });
  }

 private:
  static const char* pattern_key(const Config& config) {
    return config.has("_sliding_window_pattern") ? "_sliding_window_pattern"
                                                 : "sliding_window_pattern";
  }
  Rotary of_kind(const Config& config, const std::string& key, double usual_theta) const {
    return scaled_rotary(config, config_.head_dim,
                         config.positive(key + ".rope_theta", usual_theta), key);
  }

  Weight q_norm_, k_norm_;
  Rotary local_;  // of the layers within the window
};

}  // namespace

GIST_PLUGIN(Gemma2, Gemma3);
