// Mistral's blocks, with the mistake that "mistake" in the configuration names: in every layer, or in
// the one that "mistaken_layer" names.
#include <array>
#include <cstdint>
#include <string>

#include "gist/decoder_config.hpp"
#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

// What models share that each should have for itself.
float shared_eps = 0;
thread_local bool configured_here = false;

class Mistaken {
 public:
  static constexpr const char* id = "mistaken";
  static constexpr std::array architectures{"MistralForCausalLM"};

  Mistaken(const Config& config, Declaration& model)
      : mistake_(config.string("mistake", "")),
        mistaken_layer_(config.integer("mistaken_layer", -1)),
        share_(is("division by zero") ? 120 / config.integer("num_attention_heads") : 0),
        config_(config, {.model_type = "mistral"}) {
    const DecoderConfig& c = config_;
    if (share_ < 0) config.reject("num_attention_heads", "more than 0");
    window_ = config.integer_within("sliding_window", 1, 1 << 30, 0);
    shared_eps = c.eps;
    configured_here = true;
    const Stack stack = c.declare(model, window_);
    if (is("truncated")) {
      model.max_positions = static_cast<std::int32_t>(config.integer("position_limit"));
    }
    const std::string prefix = "model.layers.{layer}.";
    const auto matrix = [&](const std::string& name, std::int64_t n, std::int64_t k) {
      return model.matrix(stack, prefix + name + ".weight", n, k, c.random);
    };

    embedding_ = model.table("model.embed_tokens.weight", c.vocabulary, c.d_model, c.random);
    attention_norm_ = model.vector(stack, prefix + "input_layernorm.weight", c.d_model, ones);
    q_ = matrix("self_attn.q_proj", c.q_dim(), c.d_model);
    k_ = matrix("self_attn.k_proj", c.kv_dim(), c.d_model);
    v_ = matrix("self_attn.v_proj", c.kv_dim(), c.d_model);
    o_ = is("swapped shape") ? matrix("self_attn.o_proj", c.q_dim(), c.d_model)
                             : matrix("self_attn.o_proj", c.d_model, c.q_dim());
    mlp_norm_ = model.vector(stack, prefix + "post_attention_layernorm.weight", c.d_model, ones);
    gate_ = matrix("mlp.gate_proj", c.mlp_dim, c.d_model);
    up_ = matrix("mlp.up_proj", c.mlp_dim, c.d_model);
    down_ = matrix("mlp.down_proj", c.d_model, c.mlp_dim);
    if (is("unused weight")) (void)matrix("mlp.spare", c.mlp_dim, c.d_model);
    norm_ = model.vector("model.norm.weight", c.d_model, ones);
    model.head(model.matrix("lm_head.weight", c.vocabulary, c.d_model, c.random), {},
               is("head scale") ? 0.5F : 1);
  }

  Tensor enter(Pass pass, int) const {
    entered_ = true;
    ++enters_;
    const Tensor hidden = pass.embedding(embedding_);
    return is("embedding scale") ? 2.0F * hidden : hidden;
  }

  Tensor layer(Pass, int, int layer, Tensor hidden) const {
    const bool wrong = mistaken_layer_ < 0 || mistaken_layer_ == layer;
    const auto has = [&](const char* mistake) { return wrong && is(mistake); };
    float eps = config_.eps;
    if (has("eps")) eps *= 10;
    if (has("eps of its own")) eps = 1e-5F;
    if (has("shared eps")) eps = shared_eps;
    if (has("expects its thread") && !configured_here) eps *= 10;
    const Tensor x = rms_norm(hidden, attention_norm_, eps);
    Rope rope = config_.rotary.rope();
    rope.interleaved = has("rotation");
    const Tensor mixed = attention(linear(x, q_), linear(x, k_), linear(x, v_),
                                   {.scale = has("scale") ? 0.25F : config_.scale,
                                    .rope = &rope,
                                    .windowed = window_ > 0 && !has("no window")});
    hidden = hidden + linear(mixed, o_);
    const Tensor y = rms_norm(hidden, mlp_norm_, eps);
    const Tensor gate = linear(y, gate_), up = linear(y, up_);
    const Tensor fed =
        linear(has("swapped gate") ? silu_gate(up, gate) : silu_gate(gate, up), down_);
    if (has("counts calls") && ++calls_ % 7 == 0) return hidden + fed + fed;
    if (has("counts passes") && enters_ % 5 == 0) return hidden + fed + fed;
    if (has("first layer only behind enter") && !entered_) return hidden + fed + fed;
    if (layer == 0) entered_ = false;
    return hidden + fed;
  }

  Tensor leave(Pass, int, Tensor hidden) const {
    const float eps = is("eps of its own") ? 1e-5F : config_.eps;
    return rms_norm(hidden, norm_, eps, is("last norm") ? 1.0F : 0.0F);
  }

 private:
  bool is(const char* mistake) const { return mistake_ == mistake; }

  std::string mistake_;
  std::int64_t mistaken_layer_;
  std::int64_t share_;
  DecoderConfig config_;
  int window_ = 0;
  Weight embedding_, attention_norm_, q_, k_, v_, o_, mlp_norm_, gate_, up_, down_, norm_;
  mutable bool entered_ = false;
  mutable int calls_ = 0, enters_ = 0;
};

}  // namespace

GIST_PLUGIN(Mistaken);
