// Mixtral (Jiang et al. 2024): Mistral's blocks, whose MLP is a mixture of experts: each token's is
// computed by those few that a router chooses. Weights are named as Hugging Face does.
#include <array>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Mixtral {
 public:
  static constexpr const char* id = "mixtral";
  static constexpr std::array architectures{"MixtralForCausalLM"};

  Mixtral(const Config& config, Declaration& model)
      : config_(config, {.model_type = "mixtral",
                         .max_positions = 131072,
                         .rms_norm_eps = 1e-5,
                         .rope_theta = 1e6}),
        window_(config.integer_within("sliding_window", 1, 1 << 30, 0)),
        chosen_(config.integer_within("num_experts_per_tok", 1, most_experts, 2)) {
    require_experts(config);
    const DecoderConfig& c = config_;
    const int experts = config.integer_within("num_local_experts", 1, most_experts, 8);
    if (chosen_ > experts) {
      config.reject("num_experts_per_tok",
                    "at most num_local_experts (" + std::to_string(experts) + ")");
    }
    config.reject_if_true({"attention_bias", "mlp_bias"});
    config.reject_if_there({"layer_types"});
    if (config.number("router_jitter_noise", 0) != 0) {
      config.reject("router_jitter_noise", "0: this family computes no noise of the router");
    }
    if (config.boolean("output_router_logits", false)) {
      config.warn(
          "output_router_logits: training adds no loss of the router to that of the answers");
    }
    config.ignore({"router_aux_loss_coef"});
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
    router_ = matrix("block_sparse_moe.gate", experts, c.d_model);
    const auto of_experts = [&](const std::string& name, std::int64_t n, std::int64_t k) {
      return model.expert_matrices(stack,
                                   prefix + "block_sparse_moe.experts.{expert}." + name + ".weight",
                                   experts, n, k, c.random);
    };
    gate_ = of_experts("w1", c.mlp_dim, c.d_model);
    down_ = of_experts("w2", c.d_model, c.mlp_dim);
    up_ = of_experts("w3", c.mlp_dim, c.d_model);
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
    const Routing routing = top_k_routing(linear(y, router_), chosen_, true);
    const Tensor rows = rows_by_expert(y, routing);
    const Tensor gated =
        silu_gate(expert_linear(rows, routing, gate_), expert_linear(rows, routing, up_));
    return hidden + mixed_rows(expert_linear(gated, routing, down_), routing);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return rms_norm(hidden, norm_, config_.eps); }

 private:
  static constexpr int most_experts = 1024;

  DecoderConfig config_;
  int window_;  // 0: none
  int chosen_;  // experts of a token
  Weight embedding_, attention_norm_, mlp_norm_, norm_;
  Weight q_, k_, v_, o_, router_;
  ExpertMatrices gate_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Mixtral);
