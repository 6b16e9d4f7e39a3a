// Mistral (Jiang et al. 2023): LLaMA's blocks with attention within a sliding window. Weights are
// named as Hugging Face does.
#include <array>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Mistral {
 public:
  static constexpr const char* id = "mistral";
  static constexpr std::array architectures{"MistralForCausalLM"};

  Mistral(const Config& config, Declaration& model)
      : config_(config, {.model_type = "mistral", .max_positions = 131072}),
        window_(config.integer_within("sliding_window", 1, 1 << 30, 0)) {
    const DecoderConfig& c = config_;
    config.reject_if_true({"attention_bias", "mlp_bias"});
    config.reject_if_there({"num_local_experts", "layer_types"});
    const Stack stack = c.declare(model, window_);
    const std::string prefix = "model.layers.{layer}.";
    const auto matrix = [&](const std::string& name, std::int64_t n, std::int64_t k) {
      return model.matrix(stack, prefix + name + ".weight", n, k, c.random);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", c.d_model, ones);
    q_ = matrix("self_attn.q_proj", c.q_dim(), c.d_model);
    k_ = matrix("self_attn.k_proj", c.kv_dim(), c.d_model);
    v_ = matrix("self_attn.v_proj", c.kv_dim(), c.d_model);
    o_ = matrix("self_attn.o_proj", c.d_model, c.q_dim());
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", c.d_model, ones);
    gate_ = matrix("mlp.gate_proj", c.mlp_dim, c.d_model);
    up_ = matrix("mlp.up_proj", c.mlp_dim, c.d_model);
    down_ = matrix("mlp.down_proj", c.d_model, c.mlp_dim);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random));
  }

  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Tensor x = rms_norm(hidden, attention_norm_, config_.eps);
    const Rope rope = config_.rotary.rope();
    const Tensor mixed = attention(linear(x, q_), linear(x, k_), linear(x, v_),
                                   {.scale = config_.scale,
                                    .rope = &rope,
                                    .dropout = config_.dropout,
                                    .windowed = window_ > 0});
    hidden = hidden + linear(mixed, o_);
    const Tensor y = rms_norm(hidden, mlp_norm_, config_.eps);
    return hidden + linear(silu_gate(linear(y, gate_), linear(y, up_)), down_);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  DecoderConfig config_;
  int window_;  // 0: none
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Weight q_, k_, v_, o_, gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Mistral);
