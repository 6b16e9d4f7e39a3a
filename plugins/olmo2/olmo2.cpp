// OLMo 2 (OLMo team 2024): rotary attention with RMS norms of all queries and of all keys, and norms
// behind attention and MLP instead of before them. Weights are named as Hugging Face does.
#include <array>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Olmo2 {
 public:
  static constexpr const char* id = "olmo2";
  static constexpr std::array architectures{"Olmo2ForCausalLM"};

  Olmo2(const Config& config, Declaration& model)
      : config_(config, {.model_type = "olmo2", .rms_norm_eps = 1e-5}) {
    const DecoderConfig& c = config_;
    config.reject_if_there({"clip_qkv", "sliding_window", "layer_types", "num_experts"});
    const bool bias = config.boolean("attention_bias", false);
    const Stack stack = c.declare(model);
    const std::string prefix = "model.layers.{layer}.";
    const auto projection = [&](const std::string& name, std::int64_t n, std::int64_t k,
                                bool with_bias) {
      return Projection::declare(model, stack, prefix + name, n, k, c.random, with_bias);
    };
    const auto norm = [&](const std::string& name, std::int64_t n) {
      return model.vector(stack, prefix + name + ".weight", n, ones);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    q_ = projection("self_attn.q_proj", c.q_dim(), c.d_model, bias);
    k_ = projection("self_attn.k_proj", c.kv_dim(), c.d_model, bias);
    v_ = projection("self_attn.v_proj", c.kv_dim(), c.d_model, bias);
    o_ = projection("self_attn.o_proj", c.d_model, c.q_dim(), bias);
    q_norm_ = norm("self_attn.q_norm", c.q_dim());
    k_norm_ = norm("self_attn.k_norm", c.kv_dim());
    attention_norm_ = norm("post_attention_layernorm", c.d_model);
    gate_ = projection("mlp.gate_proj", c.mlp_dim, c.d_model, false);
    up_ = projection("mlp.up_proj", c.mlp_dim, c.d_model, false);
    down_ = projection("mlp.down_proj", c.d_model, c.mlp_dim, false);
    mlp_norm_ = norm("post_feedforward_layernorm", c.d_model);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random));
  }

  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Rope rope = config_.rotary.rope();
    const Tensor mixed = attention(
        rms_norm(q_(hidden), q_norm_, config_.eps), rms_norm(k_(hidden), k_norm_, config_.eps),
        v_(hidden), {.scale = config_.scale, .rope = &rope, .dropout = config_.dropout});
    hidden = hidden + rms_norm(o_(mixed), attention_norm_, config_.eps);
    const Tensor fed = down_(silu_gate(gate_(hidden), up_(hidden)));
    return hidden + rms_norm(fed, mlp_norm_, config_.eps);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  DecoderConfig config_;
  Weight embedding_, q_norm_, k_norm_, attention_norm_, mlp_norm_, norm_;
  Projection q_, k_, v_, o_, gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Olmo2);
