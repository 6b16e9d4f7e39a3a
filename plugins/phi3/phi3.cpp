// Phi-3, Phi-3.5 and Phi-4 (Abdin et al. 2024, arXiv:2404.14219): a rotary decoder whose queries, keys
// and values are one matrix, and gate and up another. Weights are named as Hugging Face does.
#include <array>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Phi3 {
 public:
  static constexpr const char* id = "phi3";
  static constexpr std::array architectures{"Phi3ForCausalLM"};

  Phi3(const Config& config, Declaration& model)
      : config_(config, {.model_type = "phi3",
                         .max_positions = 4096,
                         .rms_norm_eps = 1e-5,
                         .partly_rotated = true}),
        window_(config.integer_within("sliding_window", 1, 1 << 30, 0)),
        embedding_dropout_(static_cast<float>(config.dropout("embd_pdrop", 0))),
        dropout_(static_cast<float>(config.dropout("resid_pdrop", 0))) {
    const DecoderConfig& c = config_;
    config.reject_if_true({"attention_bias", "mlp_bias"});
    config.reject_if_there({"layer_types", "num_local_experts"});
    config.ignore({"original_max_position_embeddings"});  // of a model without longrope
    const Stack stack = c.declare(model, window_);
    const std::string prefix = "model.layers.{layer}.";
    const auto matrix = [&](const std::string& name, std::int64_t n, std::int64_t k) {
      return model.matrix(stack, prefix + name + ".weight", n, k, c.random);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", c.d_model, ones);
    qkv_ = matrix("self_attn.qkv_proj", c.q_dim() + 2 * c.kv_dim(), c.d_model);
    o_ = matrix("self_attn.o_proj", c.d_model, c.q_dim());
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", c.d_model, ones);
    gate_up_ = matrix("mlp.gate_up_proj", std::int64_t{2} * c.mlp_dim, c.d_model);
    down_ = matrix("mlp.down_proj", c.d_model, c.mlp_dim);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random));
  }

  Tensor enter(Pass pass, int) const {
    return dropout(pass.embedding(embedding_), embedding_dropout_);
  }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const DecoderConfig& c = config_;
    const Tensor qkv = linear(rms_norm(hidden, attention_norm_, c.eps), qkv_);
    const Rope rope = c.rotary.rope();
    const Tensor mixed =
        attention(columns(qkv, 0, c.q_dim()), columns(qkv, c.q_dim(), c.kv_dim()),
                  columns(qkv, c.q_dim() + c.kv_dim(), c.kv_dim()),
                  {.scale = c.scale, .rope = &rope, .dropout = c.dropout, .windowed = window_ > 0});
    hidden = hidden + dropout(linear(mixed, o_), dropout_);
    const Tensor both = linear(rms_norm(hidden, mlp_norm_, c.eps), gate_up_);
    const Tensor fed = silu_gate(columns(both, 0, c.mlp_dim), columns(both, c.mlp_dim, c.mlp_dim));
    return hidden + dropout(linear(fed, down_), dropout_);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  DecoderConfig config_;
  int window_;  // 0: none
  float embedding_dropout_, dropout_;
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Weight qkv_, o_, gate_up_, down_;
};

}  // namespace

GIST_PLUGIN(Phi3);
