// LLaMA (Touvron et al. 2023): pre-normed blocks of rotary attention with grouped keys and a gated
// MLP. Weights are named, and rotary frequencies computed, as Hugging Face does.
#include <array>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

/// Refuses what later architectures added to this one, under the names of their configurations.
void reject_what_is_not_computed(const Config& config) {
  if (config.boolean("use_sliding_window", true)) config.reject_if_there({"sliding_window"});
  config.reject_unless_one({"rotary_pct", "embedding_multiplier", "residual_multiplier",
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

  Llama(const Config& config, Declaration& model) : config_(config, {.model_type = "llama"}) {
    const DecoderConfig& c = config_;
    reject_what_is_not_computed(config);
    const bool attention_bias = config.boolean("attention_bias", false);
    const bool mlp_bias = config.boolean("mlp_bias", false);
    const Stack stack = c.declare(model);
    const std::string prefix = "model.layers.{layer}.";
    const auto projection = [&](const std::string& name, std::int64_t n, std::int64_t k,
                                bool bias) {
      return Projection::declare(model, stack, prefix + name, n, k, c.random, bias);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", c.d_model, ones);
    q_ = projection("self_attn.q_proj", c.q_dim(), c.d_model, attention_bias);
    k_ = projection("self_attn.k_proj", c.kv_dim(), c.d_model, attention_bias);
    v_ = projection("self_attn.v_proj", c.kv_dim(), c.d_model, attention_bias);
    o_ = projection("self_attn.o_proj", c.d_model, c.q_dim(), attention_bias);
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", c.d_model, ones);
    gate_ = projection("mlp.gate_proj", c.mlp_dim, c.d_model, mlp_bias);
    up_ = projection("mlp.up_proj", c.mlp_dim, c.d_model, mlp_bias);
    down_ = projection("mlp.down_proj", c.d_model, c.mlp_dim, mlp_bias);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random));
  }

  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Tensor x = rms_norm(hidden, attention_norm_, config_.eps);
    const Rope rope = config_.rotary.rope();
    const Tensor mixed = attention(
        q_(x), k_(x), v_(x), {.scale = config_.scale, .rope = &rope, .dropout = config_.dropout});
    hidden = hidden + o_(mixed);
    const Tensor y = rms_norm(hidden, mlp_norm_, config_.eps);
    return hidden + down_(silu_gate(gate_(y), up_(y)));
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  DecoderConfig config_;
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Projection q_, k_, v_, o_, gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Llama);
