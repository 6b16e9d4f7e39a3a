// GPT-2 (Radford et al. 2019): learned positions, layer norms with biases, and matrices that
// checkpoints have transposed. Weights are named as Hugging Face's GPT2LMHeadModel names them, or, as
// the published checkpoints do, without "transformer.".
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class Gpt2 {
 public:
  static constexpr const char* id = "gpt2";
  static constexpr std::array architectures{"GPT2LMHeadModel"};

  Gpt2(const Config& config, Declaration& model) {
    if (config.string("model_type", "gpt2") != "gpt2") config.reject("model_type", "\"gpt2\"");
    if (config.string("activation_function", "gelu_new") != "gelu_new") {
      config.reject("activation_function", "\"gelu_new\"");
    }
    config.reject_if_true({"scale_attn_by_inverse_layer_idx", "add_cross_attention"});
    // The context's old name, how it was computed in half precision, and other tasks' heads.
    config.ignore({"n_ctx", "reorder_and_upcast_attn", "summary_activation",
                   "summary_first_dropout", "summary_proj_to_labels", "summary_type",
                   "summary_use_proj"});
    const int d = config.size("n_embd");
    const int layers = config.integer_within("n_layer", 1, Config::most_layers);
    const int heads = config.integer_within("n_head", 1, Config::most_heads);
    if (d % heads != 0) {
      config.reject("n_embd", "a multiple of n_head (" + std::to_string(heads) + ")");
    }
    const int head_dim = d / heads;
    const std::int64_t mlp = config.has("n_inner") ? config.size("n_inner") : std::int64_t{4} * d;
    width_ = d;
    eps_ = static_cast<float>(config.positive("layer_norm_epsilon", 1e-5));
    if (config.boolean("scale_attn_weights", true)) {
      scale_ = 1 / std::sqrt(static_cast<float>(head_dim));
    }
    embedding_dropout_ = static_cast<float>(config.dropout("embd_pdrop", 0.1));
    attention_dropout_ = static_cast<float>(config.dropout("attn_pdrop", 0.1));
    dropout_ = static_cast<float>(config.dropout("resid_pdrop", 0.1));

    model.d_model = d;
    model.vocabulary = config.size("vocab_size");
    model.max_positions = config.integer_within("n_positions", 1, Config::largest_size, 1024);
    model.key_position = KeyPosition::absolute;
    const Stack stack = model.causal_stack({layers, heads, heads, head_dim, head_dim});
    const Init random = normal(config.positive("initializer_range", 0.02));
    const auto named = [&](Weight weight, const std::string& name) {
      model.also_named(weight, {name});  // without the prefix
      return weight;
    };
    const auto vector = [&](const std::string& name, std::int64_t n, Init start) {
      return named(model.vector(stack, "transformer." + name, n, start), name);
    };
    const auto projection = [&](const std::string& part, std::int64_t n, std::int64_t k) {
      const std::string name = "h.{layer}." + part;
      const Weight matrix = named(
          model.matrix(stack, "transformer." + name + ".weight", n, k, random), name + ".weight");
      model.stored_transposed(matrix);
      return WithBias{matrix, vector(name + ".bias", n, zeros)};
    };
    const auto norm = [&](const std::string& part) {
      const std::string name = "h.{layer}." + part;
      return WithBias{vector(name + ".weight", d, ones), vector(name + ".bias", d, zeros)};
    };

    tokens_ =
        named(model.table("transformer.wte.weight", model.vocabulary, d, random), "wte.weight");
    positions_ =
        named(model.table("transformer.wpe.weight", model.max_positions, d, random), "wpe.weight");
    attention_norm_ = norm("ln_1");
    qkv_ = projection("attn.c_attn", std::int64_t{3} * d, d);
    o_ = projection("attn.c_proj", d, d);
    mlp_norm_ = norm("ln_2");
    up_ = projection("mlp.c_fc", mlp, d);
    down_ = projection("mlp.c_proj", d, mlp);
    norm_ = {named(model.vector("transformer.ln_f.weight", d, ones), "ln_f.weight"),
             named(model.vector("transformer.ln_f.bias", d, zeros), "ln_f.bias")};
    model.head(config.boolean("tie_word_embeddings", true)
                   ? model.tied_matrix("lm_head.weight", tokens_)
                   : model.matrix("lm_head.weight", model.vocabulary, d, random));
  }

  Tensor enter(Pass pass, int) const {
    return dropout(pass.embedding(tokens_) + pass.position_embedding(positions_),
                   embedding_dropout_);
  }

  Tensor layer(Pass, int, int, Tensor hidden) const {
    const Tensor qkv = product(normed(hidden, attention_norm_), qkv_);
    const Tensor mixed = attention(columns(qkv, 0, width_), columns(qkv, width_, width_),
                                   columns(qkv, 2 * width_, width_),
                                   {.scale = scale_, .dropout = attention_dropout_});
    hidden = hidden + dropout(product(mixed, o_), dropout_);
    const Tensor fed = activate(Activation::gelu_new, product(normed(hidden, mlp_norm_), up_));
    return hidden + dropout(product(fed, down_), dropout_);
  }

  Tensor leave(Pass, int, Tensor hidden) const { return normed(hidden, norm_); }

 private:
  struct WithBias {
    Weight weight, bias;
  };
  static Tensor product(Tensor x, const WithBias& by) { return linear(x, by.weight, by.bias); }
  Tensor normed(Tensor x, const WithBias& by) const {
    return layer_norm(x, by.weight, by.bias, eps_);
  }

  std::int64_t width_ = 0;
  float eps_ = 0, scale_ = 1;  // scale: of the scores
  float embedding_dropout_ = 0, attention_dropout_ = 0, dropout_ = 0;
  Weight tokens_, positions_;
  WithBias attention_norm_, mlp_norm_, norm_;
  WithBias qkv_, o_, up_, down_;
};

}  // namespace

GIST_PLUGIN(Gpt2);
