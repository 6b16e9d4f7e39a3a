// T5 (Raffel et al. 2020, arXiv:1910.10683) and what came of it: v1.0, v1.1, FLAN, LM-adapted, mT5,
// and umT5 (Chung et al. 2023), whose layers each have a table of biases of their own.
// Weights are named as Hugging Face's T5ForConditionalGeneration names them.
#include <array>
#include <cmath>
#include <cstdint>
#include <string>

#include "gist/plugin.hpp"

namespace {

using namespace gist::sdk;

class T5 {
 public:
  static constexpr const char* id = "t5";
  static constexpr std::array architectures{
      "T5ForConditionalGeneration", "MT5ForConditionalGeneration", "UMT5ForConditionalGeneration"};

  T5(const Config& config, Declaration& model) {
    const std::string type = config.string("model_type", "t5");
    if (type != "t5" && type != "mt5" && type != "umt5") {
      config.reject("model_type", "\"t5\", \"mt5\" or \"umt5\"");
    }
    each_layer_has_biases_ = type == "umt5";
    config.reject_if_true({"tie_encoder_decoder"});
    config.ignore({"n_positions", "max_length"});  // positions are relative
    const Sizes sizes(config);
    eps_ = static_cast<float>(config.positive("layer_norm_epsilon", 1e-6));
    dropout_ = static_cast<float>(config.dropout("dropout_rate", 0.1));
    read_feed_forward(config);

    model.d_model = sizes.d;
    model.vocabulary = sizes.vocabulary;
    model.key_position = KeyPosition::none;
    model.decoder_start =
        config.integer_within("decoder_start_token_id", 0, sizes.vocabulary - 1, 0);
    const StackShape shape{config.integer_within("num_layers", 1, Config::most_layers), sizes.heads,
                           sizes.heads, sizes.head_dim, sizes.head_dim};
    StackShape decoder_shape = shape;
    decoder_shape.layers =
        config.integer_within("num_decoder_layers", 1, Config::most_layers, shape.layers);
    const Stack encoder = model.bidirectional_stack(shape);
    const Stack decoder = model.causal_stack(decoder_shape, encoder);

    embedding_ = model.table("shared.weight", sizes.vocabulary, sizes.d, normal(sizes.factor));
    model.also_named(embedding_, {"encoder.embed_tokens.weight", "decoder.embed_tokens.weight"});
    stacks_[0] = declare(model, encoder, "encoder.", sizes, false);
    stacks_[1] = declare(model, decoder, "decoder.", sizes, true);
    // Older configurations scale the head's input where it is tied, newer ones say so themselves.
    const bool tied = config.boolean("tie_word_embeddings", true);
    const bool scaled = config.boolean("scale_decoder_outputs", tied);
    model.head(
        tied ? model.tied_matrix("lm_head.weight", embedding_)
             : model.matrix("lm_head.weight", sizes.vocabulary, sizes.d, normal(sizes.factor)),
        {}, scaled ? 1 / std::sqrt(static_cast<float>(sizes.d)) : 1);
  }

  Tensor enter(Pass pass, int) const { return dropout(pass.embedding(embedding_), dropout_); }

  Tensor layer(Pass pass, int stack, int, Tensor hidden) const {
    const Blocks& blocks = stacks_[static_cast<std::size_t>(stack)];
    const Tensor x = rms_norm(hidden, blocks.self.norm, eps_);
    hidden = hidden + attend(blocks.self, x, x, {.bias = &blocks.bias, .dropout = dropout_});
    if (stack == 1) {
      const Tensor y = rms_norm(hidden, blocks.cross.norm, eps_);
      hidden = hidden +
               attend(blocks.cross, y, pass.cross_input(), {.dropout = dropout_, .cross = true});
    }
    const Tensor z = rms_norm(hidden, blocks.feed_forward.norm, eps_);
    return hidden + feed_forward(blocks.feed_forward, z);
  }

  Tensor leave(Pass, int stack, Tensor hidden) const {
    return dropout(rms_norm(hidden, stacks_[static_cast<std::size_t>(stack)].norm, eps_), dropout_);
  }

 private:
  struct Sizes {
    explicit Sizes(const Config& config)
        : vocabulary(config.size("vocab_size")),
          d(config.size("d_model")),
          head_dim(config.integer_within("d_kv", 1, Config::most_heads)),
          heads(config.integer_within("num_heads", 1, Config::most_heads)),
          mlp_dim(config.size("d_ff")),
          buckets(config.size("relative_attention_num_buckets", 32)),
          max_distance(config.size("relative_attention_max_distance", 128)),
          factor(config.positive("initializer_factor", 1.0)) {
      if (buckets < 4) config.reject("relative_attention_num_buckets", "4 or more");
      if (max_distance <= buckets / 2) {
        config.reject("relative_attention_max_distance",
                      "more than half of relative_attention_num_buckets");
      }
    }
    std::int32_t vocabulary, d, head_dim, heads, mlp_dim, buckets, max_distance;
    double factor;

    Init scaled(double fan) const { return normal(factor / std::sqrt(fan)); }
  };
  struct AttentionBlock {
    Weight norm, q, k, v, o;
  };
  struct FeedForward {
    Weight norm, gate, up, down;  // without a gate: up alone
  };
  struct Blocks {
    AttentionBlock self, cross;
    FeedForward feed_forward;
    RelativeBias bias;
    Weight norm;
  };

  /// "relu", "gated-gelu", ...; newer configurations spell its parts out, too, and these count.
  void read_feed_forward(const Config& config) {
    const std::string kind = config.string("feed_forward_proj", "relu");
    gated_ = kind.rfind("gated-", 0) == 0;
    std::string name = gated_ ? kind.substr(6) : kind;
    if (kind == "gated-gelu") name = "gelu_new";  // Hugging Face means that by it
    gated_ = config.boolean("is_gated_act", gated_);
    name = config.string("dense_act_fn", name);
    if (name == "relu") {
      activation_ = Activation::relu;
    } else if (name == "gelu_new") {
      activation_ = Activation::gelu_new;
    } else if (name == "silu") {
      activation_ = Activation::silu;
    } else if (config.has("dense_act_fn")) {
      config.reject("dense_act_fn", "\"relu\", \"gelu_new\" or \"silu\"");
    } else {
      config.reject("feed_forward_proj", "\"relu\", \"gated-gelu\" or \"gated-silu\"");
    }
  }

  static AttentionBlock declare_attention(Declaration& model, Stack stack, const std::string& part,
                                          const std::string& name, const Sizes& s) {
    const std::int64_t width = std::int64_t{s.heads} * s.head_dim;
    const Init in = s.scaled(s.d);
    const std::string prefix = part + name;
    return {model.vector(stack, part + "layer_norm.weight", s.d, constant(s.factor)),
            model.matrix(stack, prefix + ".q.weight", width, s.d,
                         s.scaled(static_cast<double>(s.d) * s.head_dim)),
            model.matrix(stack, prefix + ".k.weight", width, s.d, in),
            model.matrix(stack, prefix + ".v.weight", width, s.d, in),
            model.matrix(stack, prefix + ".o.weight", s.d, width,
                         s.scaled(static_cast<double>(width)))};
  }

  FeedForward declare_feed_forward(Declaration& model, Stack stack, const std::string& part,
                                   const Sizes& s) const {
    const auto in = [&](const char* name) {
      return model.matrix(stack, part + "DenseReluDense." + name, s.mlp_dim, s.d, s.scaled(s.d));
    };
    FeedForward block;
    block.norm = model.vector(stack, part + "layer_norm.weight", s.d, constant(s.factor));
    if (gated_) block.gate = in("wi_0.weight");
    block.up = in(gated_ ? "wi_1.weight" : "wi.weight");
    block.down =
        model.matrix(stack, part + "DenseReluDense.wo.weight", s.d, s.mlp_dim, s.scaled(s.mlp_dim));
    return block;
  }

  Blocks declare(Declaration& model, Stack stack, const std::string& prefix, const Sizes& s,
                 bool reads) const {
    const auto part = [&](int index) {
      return prefix + "block.{layer}.layer." + std::to_string(index) + ".";
    };
    Blocks blocks;
    blocks.self = declare_attention(model, stack, part(0), "SelfAttention", s);
    if (reads) blocks.cross = declare_attention(model, stack, part(1), "EncDecAttention", s);
    blocks.feed_forward = declare_feed_forward(model, stack, part(reads ? 2 : 1), s);
    // T5's first layer has the table, and all layers of the stack use it.
    const std::string table = "SelfAttention.relative_attention_bias.weight";
    const Init scaled = s.scaled(s.d);
    blocks.bias = {
        each_layer_has_biases_
            ? model.table(stack, part(0) + table, s.buckets, s.heads, scaled)
            : model.table(prefix + "block.0.layer.0." + table, s.buckets, s.heads, scaled),
        s.max_distance};
    blocks.norm = model.vector(prefix + "final_layer_norm.weight", s.d, constant(s.factor));
    return blocks;
  }

  Tensor attend(const AttentionBlock& block, Tensor x, Tensor source,
                const Attention& options) const {
    const Tensor mixed =
        attention(linear(x, block.q), linear(source, block.k), linear(source, block.v), options);
    return dropout(linear(mixed, block.o), dropout_);
  }

  Tensor feed_forward(const FeedForward& block, Tensor x) const {
    const Tensor up = linear(x, block.up);
    const Tensor inner =
        gated_ ? gated(activation_, linear(x, block.gate), up) : activate(activation_, up);
    return dropout(linear(dropout(inner, dropout_), block.down), dropout_);
  }

  float eps_ = 0, dropout_ = 0;
  bool gated_ = false;
  bool each_layer_has_biases_ = false;
  Activation activation_ = Activation::relu;
  Weight embedding_;
  std::array<Blocks, 2> stacks_;
};

}  // namespace

GIST_PLUGIN(T5);
