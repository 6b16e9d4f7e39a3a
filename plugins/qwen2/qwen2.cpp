// Qwen2 and Qwen2.5 (Yang et al. 2024): LLaMA's blocks with biases of queries, keys and values, and,
// in some layers where the configuration says so, a sliding window. Weights are named as Hugging
// Face does.
#include <array>
#include <string>
#include <vector>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Qwen2 {
 public:
  static constexpr const char* id = "qwen2";
  static constexpr std::array architectures{"Qwen2ForCausalLM"};

  Qwen2(const Config& config, Declaration& model)
      : config_(config, {.model_type = "qwen2", .max_positions = 32768}),
        windowed_(layers_in_window(config, config_.layers)) {
    const DecoderConfig& c = config_;
    config.reject_if_there({"num_experts"});
    config.reject_if_true({"use_mrope"});
    const Stack stack = c.declare(model, windowed_.empty() ? 0 : config.size("sliding_window"));
    const std::string prefix = "model.layers.{layer}.";
    const auto projection = [&](const std::string& name, std::int64_t n, std::int64_t k,
                                bool bias) {
      return Projection::declare(model, stack, prefix + name, n, k, c.random, bias);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", c.d_model, ones);
    q_ = projection("self_attn.q_proj", c.q_dim(), c.d_model, true);
    k_ = projection("self_attn.k_proj", c.kv_dim(), c.d_model, true);
    v_ = projection("self_attn.v_proj", c.kv_dim(), c.d_model, true);
    o_ = projection("self_attn.o_proj", c.d_model, c.q_dim(), false);
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", c.d_model, ones);
    gate_ = projection("mlp.gate_proj", c.mlp_dim, c.d_model, false);
    up_ = projection("mlp.up_proj", c.mlp_dim, c.d_model, false);
    down_ = projection("mlp.down_proj", c.d_model, c.mlp_dim, false);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(c.tied ? model.tied_matrix("lm_head.weight", embedding_)
                      : model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random));
  }

  Tensor enter(Pass pass, int) const { return pass.embedding(embedding_); }

  Tensor layer(Pass, int, int layer, Tensor hidden) const {
    const Tensor x = rms_norm(hidden, attention_norm_, config_.eps);
    const Rope rope = config_.rotary.rope();
    const Tensor mixed =
        attention(q_(x), k_(x), v_(x),
                  {.scale = config_.scale,
                   .rope = &rope,
                   .dropout = config_.dropout,
                   .windowed = !windowed_.empty() && windowed_[static_cast<std::size_t>(layer)]});
    hidden = hidden + o_(mixed);
    const Tensor y = rms_norm(hidden, mlp_norm_, config_.eps);
    return hidden + down_(silu_gate(gate_(y), up_(y)));
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  DecoderConfig config_;
  std::vector<bool> windowed_;  // [layers]; empty: none is
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Projection q_, k_, v_, o_, gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Qwen2);
