// LLaMA written straight against core/: the family that the engine's tests run on.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "core/model.h"
#include "core/ops/ops.h"

namespace gist {

struct LlamaShape {
  int d_model = 0;
  int mlp_dim = 0;
  int vocabulary = 0;
  int layers = 0;
  int heads = 0;
  int kv_heads = 0;
  int max_positions = 0;
  float eps = 1e-5F;
  float theta = 10000;
  bool tied = false;

  int head_dim() const { return d_model / heads; }
  int kv_dim() const { return kv_heads * head_dim(); }
};

/// [head_dim / 2], in f32 as the published models were trained with.
inline std::vector<float> inverse_frequencies(const LlamaShape& shape) {
  std::vector<float> inv_freq;
  for (int i = 0; i < shape.head_dim(); i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(shape.head_dim());
    inv_freq.push_back(1 / std::pow(shape.theta, exponent));
  }
  return inv_freq;
}

class LlamaFamily final : public Family {
 public:
  explicit LlamaFamily(const LlamaShape& shape)
      : eps_(shape.eps),
        scale_(1 / std::sqrt(static_cast<float>(shape.head_dim()))),
        rotary_dims_(shape.head_dim()),
        inv_freq_(inverse_frequencies(shape)) {
    spec_.family = "llama";
    spec_.architecture = "LlamaForCausalLM";
    spec_.d_model = shape.d_model;
    spec_.vocabulary = shape.vocabulary;
    spec_.max_positions = shape.max_positions;
    spec_.stacks.push_back({StackKind::causal, shape.layers, shape.heads, shape.kv_heads,
                            shape.head_dim(), shape.head_dim()});
    const std::int64_t d = shape.d_model;
    embedding_ = shared("model.embed_tokens.weight", {shape.vocabulary, d}, WeightUse::table);
    norm_ = shared("model.norm.weight", {d}, WeightUse::vector);
    head_ = shared("lm_head.weight", {shape.vocabulary, d}, WeightUse::matrix);
    if (shape.tied) spec_.weights.back().tied_to = "model.embed_tokens.weight";
    spec_.head.weight = head_;
    attention_norm_ = of_layer("input_layernorm.weight", {d}, WeightUse::vector);
    q_ = of_layer("self_attn.q_proj.weight", {d, d}, WeightUse::matrix);
    k_ = of_layer("self_attn.k_proj.weight", {shape.kv_dim(), d}, WeightUse::matrix);
    v_ = of_layer("self_attn.v_proj.weight", {shape.kv_dim(), d}, WeightUse::matrix);
    o_ = of_layer("self_attn.o_proj.weight", {d, d}, WeightUse::matrix);
    mlp_norm_ = of_layer("post_attention_layernorm.weight", {d}, WeightUse::vector);
    gate_ = of_layer("mlp.gate_proj.weight", {shape.mlp_dim, d}, WeightUse::matrix);
    up_ = of_layer("mlp.up_proj.weight", {shape.mlp_dim, d}, WeightUse::matrix);
    down_ = of_layer("mlp.down_proj.weight", {d, shape.mlp_dim}, WeightUse::matrix);
  }

  const ModelSpec& spec() const override { return spec_; }

  Tensor enter(Pass& pass, int) override { return embedding(pass, embedding_); }

  Tensor layer(Pass& pass, int, int, const Tensor& hidden) override {
    AttentionOptions options;
    options.position.kind = PositionSpec::Kind::rope;
    options.position.inv_freq = inv_freq_;
    options.scale = scale_;
    const Tensor x = rms_norm(pass, hidden, attention_norm_, eps_);
    const Tensor mixed =
        attention(pass, linear(pass, x, q_), linear(pass, x, k_), linear(pass, x, v_), options);
    const Tensor attended = add(pass, hidden, linear(pass, mixed, o_));
    const Tensor y = rms_norm(pass, attended, mlp_norm_, eps_);
    const Tensor gated =
        gated_activation(pass, Activation::silu, linear(pass, y, gate_), linear(pass, y, up_));
    return add(pass, attended, linear(pass, gated, down_));
  }

  Tensor leave(Pass& pass, int, const Tensor& hidden) override {
    return rms_norm(pass, hidden, norm_, eps_);
  }

 private:
  int shared(const std::string& name, const Shape& shape, WeightUse use) {
    spec_.weights.push_back({name, shape, use, std::nullopt, "", {}});
    return static_cast<int>(spec_.weights.size()) - 1;
  }
  int of_layer(const std::string& name, const Shape& shape, WeightUse use) {
    spec_.weights.push_back({"model.layers.{layer}." + name, shape, use, 0, "", {}});
    return static_cast<int>(spec_.weights.size()) - 1;
  }

  ModelSpec spec_;
  float eps_, scale_;
  int rotary_dims_;
  std::vector<float> inv_freq_;
  int embedding_, norm_, head_, attention_norm_, q_, k_, v_, o_, mlp_norm_, gate_, up_, down_;
};

}  // namespace gist
