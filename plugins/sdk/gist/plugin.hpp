// The C++ side of gist/plugin.h: turns a class into a model family. Header-only, and needs nothing
// but the standard library, C++20.
//
//     class Llama {
//      public:
//       static constexpr const char* id = "llama";
//       static constexpr std::array architectures{"LlamaForCausalLM"};
//       Llama(const Config& config, Declaration& model);  // reads, rejects, declares
//       Tensor enter(Pass pass, int stack) const;
//       Tensor layer(Pass pass, int stack, int layer, Tensor hidden) const;
//       Tensor leave(Pass pass, int stack, Tensor hidden) const;
//     };
//     GIST_PLUGIN(Llama);
//
// Exceptions may be thrown anywhere in these members: they are caught at the border, and their
// message is the reason that a user reads. Everything lives in an inline namespace named after the
// version, and is hidden in the library whatever its flags, so that plugins built against different
// versions don't meet.
#pragma once

#if defined(_MSVC_LANG) ? _MSVC_LANG < 202002L : __cplusplus < 202002L
#error "gist/plugin.hpp needs C++20: compile with -std=c++20"
#endif

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <initializer_list>
#include <limits>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "gist/plugin.h"

namespace gist::sdk {
// Hidden, whatever the compiler is told, so that the plugins of a process share none of it.
#pragma GCC visibility push(hidden)
inline namespace v1_0 {

/// Why a configuration can't be served.
class Rejected : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Why a family leaves a configuration to another one.
class Declined : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// config.json. Keys may be paths ("rope_scaling.factor", "layer_types.0"); a key whose value is null
/// is missing.
/// Each getter throws Rejected, naming the key, what was expected and what was found, where the
/// value has another type or, without a fallback, is missing.
class Config {
 public:
  Config(const gist_config_host& host, const gist_config& config)
      : host_(&host), config_(&config) {}

  bool has(const std::string& key) const {
    const char* text = nullptr;
    return host_->get_json(config_, key.c_str(), &text) != GIST_MISSING;
  }

  std::int64_t integer(const std::string& key) const {
    return required<std::int64_t>(key, host_->get_int, "an integer");
  }
  std::int64_t integer(const std::string& key, std::int64_t fallback) const {
    return has(key) ? integer(key) : fallback;
  }

  std::int32_t integer_within(const std::string& key, std::int32_t least, std::int32_t most) const {
    const std::string expected =
        "an integer from " + std::to_string(least) + " to " + std::to_string(most);
    const auto value = required<std::int64_t>(key, host_->get_int, expected.c_str());
    if (value < least || value > most) reject(key, expected);
    return static_cast<std::int32_t>(value);
  }
  std::int32_t integer_within(const std::string& key, std::int32_t least, std::int32_t most,
                              std::int32_t fallback) const {
    return has(key) ? integer_within(key, least, most) : fallback;
  }

  // Beyond these the host takes a declaration for nonsense.
  static constexpr std::int32_t largest_size = 1 << 24;
  static constexpr std::int32_t most_layers = 10'000;
  static constexpr std::int32_t most_heads = 100'000;

  /// A dimension: an integer from 1 to largest_size.
  std::int32_t size(const std::string& key) const { return integer_within(key, 1, largest_size); }
  std::int32_t size(const std::string& key, std::int32_t fallback) const {
    return has(key) ? size(key) : fallback;
  }

  double number(const std::string& key) const {
    return required<double>(key, host_->get_float, "a number");
  }
  double number(const std::string& key, double fallback) const {
    return has(key) ? number(key) : fallback;
  }

  double positive(const std::string& key) const {
    constexpr const char* expected = "a number above 0";
    const auto value = required<double>(key, host_->get_float, expected);
    if (!(value > 0)) reject(key, expected);
    return value;
  }
  double positive(const std::string& key, double fallback) const {
    return has(key) ? positive(key) : fallback;
  }
  /// The share of values that dropout zeroes.
  double dropout(const std::string& key, double fallback) const {
    const double value = number(key, fallback);
    if (!(value >= 0 && value < 1)) reject(key, "a number from 0 to below 1");
    return value;
  }

  bool boolean(const std::string& key) const {
    return required<std::uint8_t>(key, host_->get_bool, "true or false") != 0;
  }
  bool boolean(const std::string& key, bool fallback) const {
    return has(key) ? boolean(key) : fallback;
  }

  std::string string(const std::string& key) const {
    return required<const char*>(key, host_->get_string, "a string");
  }
  std::string string(const std::string& key, const std::string& fallback) const {
    return has(key) ? string(key) : fallback;
  }

  /// A list of strings, none of which has a character that JSON escapes.
  std::vector<std::string> strings(const std::string& key) const {
    constexpr const char* expected = "a list of plain strings";
    const char* text = nullptr;
    if (host_->get_json(config_, key.c_str(), &text) != GIST_OK) reject(key, expected);
    const std::string json = text;
    if (json[0] != '[' || json.find('\\') != std::string::npos) reject(key, expected);
    std::vector<std::string> values;
    std::size_t at = 1;  // the host writes ["a","b"], without white space
    while (at < json.size() && json[at] == '"') {
      const std::size_t end = json.find('"', at + 1);
      values.push_back(json.substr(at + 1, end - at - 1));
      at = end + 1;
      if (json[at] == ',') ++at;
    }
    if (at + 1 != json.size()) reject(key, expected);
    return values;
  }

  /// A list of numbers.
  std::vector<double> numbers(const std::string& key) const {
    constexpr const char* expected = "a list of numbers";
    const char* text = nullptr;
    if (host_->get_json(config_, key.c_str(), &text) != GIST_OK) reject(key, expected);
    const std::string json = text;
    if (json[0] != '[') reject(key, expected);
    std::vector<double> values;
    const char* at = json.data() + 1;  // the host writes [1,2.5], without white space
    const char* const end = json.data() + json.size() - 1;
    while (at != end) {
      double value = 0;
      const auto [after, error] = std::from_chars(at, end, value);
      if (error != std::errc() || (after != end && *after != ',')) reject(key, expected);
      values.push_back(value);
      at = after == end ? end : after + 1;
    }
    return values;
  }

  /// Says that these keys mean nothing to the family, as they are: the host warns of keys that
  /// nobody asked for.
  void ignore(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) (void)has(key);
  }
  /// A line that the user of the model sees once.
  void warn(const std::string& message) const { host_->warn(config_, message.c_str()); }
  /// Leaves the configuration to another family, if there is one.
  [[noreturn]] void decline(const std::string& reason) const { throw Declined(reason); }
  /// An optional feature by its name and revision, or null where the host lacks it.
  const void* extension(const char* name) const { return host_->extension(name); }

  // Refuses keys that would change what a family computes, if it knew them.
  void reject_if_there(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      if (has(key)) reject(key, "no such key: this family doesn't compute it");
    }
  }
  void reject_if_true(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      if (boolean(key, false)) reject(key, "false: this family doesn't compute it");
    }
  }
  void reject_unless_one(std::initializer_list<const char*> keys) const {
    for (const char* key : keys) {
      if (number(key, 1) != 1) reject(key, "1: this family doesn't compute anything else");
    }
  }

  /// Rejects the configuration for the value of a key.
  [[noreturn]] void reject(const std::string& key, const std::string& expected) const {
    throw Rejected(key + ": expected " + expected + ", found " + found(key));
  }

 private:
  template <typename T>
  T required(const std::string& key, gist_status (*get)(const gist_config*, const char*, T*),
             const char* expected) const {
    T value{};
    if (get(config_, key.c_str(), &value) != GIST_OK) reject(key, expected);
    return value;
  }

  std::string found(const std::string& key) const {
    const char* text = nullptr;
    const gist_status status = host_->get_json(config_, key.c_str(), &text);
    if (status == GIST_MISSING) return "nothing";
    if (status != GIST_OK || text == nullptr) return "no object on its path";
    const std::string whole = text;
    return whole.size() <= 80 ? whole : whole.substr(0, 77) + "...";
  }

  const gist_config_host* host_;
  const gist_config* config_;
};

/// Init says how training from scratch starts a weight.
struct Init {
  std::uint32_t kind = GIST_INIT_NORMAL;
  float value = 0;  // the deviation, or the constant
};
constexpr Init normal(double std) {
  return {GIST_INIT_NORMAL, static_cast<float>(std)};
}
constexpr Init constant(double value) {
  return {GIST_INIT_CONSTANT, static_cast<float>(value)};
}
inline constexpr Init zeros = constant(0);
inline constexpr Init ones = constant(1);

/// A declared weight; one without an index stands for none.
struct Weight {
  std::int32_t index = GIST_NONE;
};

/// A matrix of each expert, all of one shape.
struct ExpertMatrices {
  std::vector<std::int32_t> indices;  // [experts]
};

/// A declared stack.
struct Stack {
  std::int32_t index = GIST_NONE;
};

/// How a token's place enters its key.
enum class KeyPosition : std::int32_t {
  none = GIST_KEYS_WITHOUT_POSITION,
  rotated = GIST_KEYS_ROTATED,
  absolute = GIST_KEYS_ABSOLUTE,  // by Pass::position_embedding
};

struct StackShape {
  std::int32_t layers = 0;
  std::int32_t heads = 0;     // of queries
  std::int32_t kv_heads = 0;  // of keys and values
  std::int32_t key_dim = 0;
  std::int32_t value_dim = 0;
  std::int32_t window = 0;  // of a causal stack, for attention that is windowed; 0: none
};

/// A Declaration says what a model consists of. Names are as in the checkpoint; those of a stack's
/// weights contain "{layer}".
class Declaration {
 public:
  std::int32_t d_model = 0;
  std::int32_t vocabulary = 0;
  std::int32_t max_positions = 0;  // 0: unlimited
  KeyPosition key_position = KeyPosition::rotated;

  std::int32_t decoder_start = 0;  // of an encoder-decoder

  /// The stack of a decoder, or, reading another, that of an encoder-decoder's decoder.
  Stack causal_stack(const StackShape& shape, Stack reads = {}) {
    return add_stack(GIST_STACK_CAUSAL, shape, reads);
  }
  Stack bidirectional_stack(const StackShape& shape) {
    return add_stack(GIST_STACK_BIDIRECTIONAL, shape, {});
  }

  // Weights that all layers share.
  Weight matrix(std::string name, std::int64_t n, std::int64_t k, Init init) {
    return add(Stack{}, std::move(name), GIST_USE_MATRIX, {n, k}, init);
  }
  Weight table(std::string name, std::int64_t rows, std::int64_t d, Init init) {
    return add(Stack{}, std::move(name), GIST_USE_TABLE, {rows, d}, init);
  }
  /// Says that the checkpoint has this matrix [n, k] as [k, n].
  void stored_transposed(Weight matrix) {
    weights_.at(static_cast<std::size_t>(matrix.index)).stored_transposed = 1;
  }
  /// Gives the names that some checkpoints have for a weight instead, those that matter first; of a
  /// layer's weight with "{layer}". It may be called once for a weight.
  void also_named(Weight weight, const std::vector<std::string>& names) {
    gist_weight& named = weights_.at(static_cast<std::size_t>(weight.index));
    std::vector<const char*>& kept = other_names_.emplace_back();
    for (const std::string& name : names) kept.push_back(keep(name));
    named.other_names = kept.data();
    named.n_other_names = static_cast<std::uint32_t>(kept.size());
  }
  Weight vector(std::string name, std::int64_t n, Init init) {
    return add(Stack{}, std::move(name), GIST_USE_VECTOR, {n}, init);
  }
  /// A matrix with the values and the shape of another weight.
  Weight tied_matrix(std::string name, Weight other) {
    const gist_weight& source = weights_.at(static_cast<std::size_t>(other.index));
    gist_weight weight = source;
    weight.name = keep(std::move(name));
    weight.other_names = nullptr;
    weight.n_other_names = 0;
    weight.use = GIST_USE_MATRIX;
    weight.tied_to = source.name;
    return push(weight);
  }

  // Weights of each layer of a stack.
  Weight table(Stack stack, std::string name, std::int64_t rows, std::int64_t d, Init init) {
    return add(stack, std::move(name), GIST_USE_TABLE, {rows, d}, init);
  }
  Weight matrix(Stack stack, std::string name, std::int64_t n, std::int64_t k, Init init) {
    return add(stack, std::move(name), GIST_USE_MATRIX, {n, k}, init);
  }
  /// "{expert}" in the name is the expert's number. A layer's alone: it is for expert_linear.
  ExpertMatrices expert_matrices(Stack stack, const std::string& name, std::int32_t experts,
                                 std::int64_t n, std::int64_t k, Init init) {
    constexpr const char* mark = "{expert}";
    const std::size_t at = name.find(mark);
    if (at == std::string::npos) throw Rejected("expert_matrices: no {expert} in " + name);
    ExpertMatrices matrices;
    for (std::int32_t expert = 0; expert < experts; ++expert) {
      std::string own = name;
      own.replace(at, std::char_traits<char>::length(mark), std::to_string(expert));
      matrices.indices.push_back(matrix(stack, std::move(own), n, k, init).index);
    }
    return matrices;
  }
  Weight vector(Stack stack, std::string name, std::int64_t n, Init init) {
    return add(stack, std::move(name), GIST_USE_VECTOR, {n}, init);
  }

  /// logits = cap(scale * (hidden weight^T + bias)), cap(x) = c tanh(x / c) where soft_cap c isn't
  /// 0.
  void head(Weight weight, Weight bias = {}, float scale = 1, float soft_cap = 0) {
    head_weight_ = weight;
    head_bias_ = bias;
    head_scale_ = scale;
    head_soft_cap_ = soft_cap;
  }

  /// The declaration as the host reads it. It points into this object.
  void fill(gist_model& model) const {
    model.d_model = d_model;
    model.vocabulary = vocabulary;
    model.max_positions = max_positions;
    model.key_position = static_cast<std::int32_t>(key_position);
    model.n_stacks = static_cast<std::uint32_t>(stacks_.size());
    model.stacks = stacks_.data();
    model.n_weights = static_cast<std::uint32_t>(weights_.size());
    model.weights = weights_.data();
    model.head_weight = head_weight_.index;
    model.head_bias = head_bias_.index;
    model.head_scale = head_scale_;
    model.head_soft_cap = head_soft_cap_;
    model.decoder_start = decoder_start;
  }

 private:
  const char* keep(std::string name) { return names_.emplace_back(std::move(name)).c_str(); }

  Stack add_stack(std::uint32_t kind, const StackShape& shape, Stack reads) {
    stacks_.push_back({.size = sizeof(gist_stack),
                       .kind = kind,
                       .layers = shape.layers,
                       .heads = shape.heads,
                       .kv_heads = shape.kv_heads,
                       .key_dim = shape.key_dim,
                       .value_dim = shape.value_dim,
                       .reads = reads.index,
                       .window = shape.window});
    return {static_cast<std::int32_t>(stacks_.size()) - 1};
  }

  Weight push(const gist_weight& weight) {
    weights_.push_back(weight);
    return {static_cast<std::int32_t>(weights_.size()) - 1};
  }

  Weight add(Stack stack, std::string name, std::uint32_t use,
             std::initializer_list<std::int64_t> shape, Init init) {
    gist_weight weight{};
    weight.size = sizeof(gist_weight);
    weight.stack = stack.index;
    weight.name = keep(std::move(name));
    weight.use = use;
    for (const std::int64_t dim : shape) weight.shape[weight.rank++] = dim;
    weight.init = init.kind;
    weight.init_value = init.value;
    return push(weight);
  }

  std::deque<std::string> names_;  // whose strings don't move
  std::deque<std::vector<const char*>> other_names_;
  std::vector<gist_stack> stacks_;
  std::vector<gist_weight> weights_;
  Weight head_weight_, head_bias_;
  float head_scale_ = 1, head_soft_cap_ = 0;
};

/// A tensor [n, width] of the running pass: a handle, copied freely, valid until the callback
/// returns. No operation on it throws: the first failure is kept by the host and ends the callback.
struct Tensor {
  const gist_ops* ops = nullptr;
  gist_pass* pass = nullptr;
  gist_tensor handle = 0;
};

/// The running pass.
struct Pass {
  const gist_ops* ops = nullptr;
  gist_pass* pass = nullptr;

  /// Returns, in a stack that reads another, the rows [m, d_model] to make keys and values for
  /// cross-attention of.
  Tensor cross_input() const { return {ops, pass, ops->cross_input(pass)}; }
  /// The rows of a table for the pass' token ids: [n, d].
  Tensor embedding(Weight table) const { return {ops, pass, ops->embedding(pass, table.index)}; }
  /// The rows of a table for the positions of the pass' tokens: [n, d].
  Tensor position_embedding(Weight table) const {
    return {ops, pass, ops->position_embedding(pass, table.index)};
  }
  Tensor fail(const std::string& message) const {
    return {ops, pass, ops->fail(pass, message.c_str())};
  }
};

/// x[n, k] w[m, k]^T + bias[m]: [n, m].
inline Tensor linear(Tensor x, Weight weight, Weight bias = {}) {
  return {x.ops, x.pass, x.ops->linear(x.pass, x.handle, weight.index, bias.index)};
}
/// x / sqrt(mean(x^2) + eps) * (weight_offset + weight); a weight of a head's width norms each head
/// by itself.
inline Tensor rms_norm(Tensor x, Weight weight, float eps, float weight_offset = 0) {
  return {x.ops, x.pass, x.ops->rms_norm(x.pass, x.handle, weight.index, eps, weight_offset)};
}
/// (x - mean(x)) / sqrt(variance(x) + eps) * weight + bias, where there are such.
inline Tensor layer_norm(Tensor x, Weight weight, Weight bias, float eps) {
  return {x.ops, x.pass, x.ops->layer_norm(x.pass, x.handle, weight.index, bias.index, eps)};
}
inline Tensor operator*(float factor, Tensor x) {
  return {x.ops, x.pass, x.ops->scale(x.pass, x.handle, factor)};
}
/// Columns [first, first + width) of x, and beside them `blocks` - 1 times those `stride` further on:
/// the parts of a product that is stored as one matrix.
inline Tensor columns(Tensor x, std::int64_t first, std::int64_t width, std::int64_t blocks = 1,
                      std::int64_t stride = 0) {
  return {x.ops, x.pass, x.ops->columns(x.pass, x.handle, first, width, blocks, stride)};
}
inline Tensor operator+(Tensor a, Tensor b) {
  return {a.ops, a.pass, a.ops->add(a.pass, a.handle, b.handle)};
}
enum class Activation : std::uint32_t {
  silu = GIST_ACTIVATION_SILU,
  relu = GIST_ACTIVATION_RELU,
  gelu_new = GIST_ACTIVATION_GELU_NEW,  // the tanh form
};
/// activation(gate) * up.
inline Tensor gated(Activation activation, Tensor gate, Tensor up) {
  return {gate.ops, gate.pass,
          gate.ops->gated_activation(gate.pass, static_cast<std::uint32_t>(activation), gate.handle,
                                     up.handle)};
}
inline Tensor activate(Activation activation, Tensor x) {
  return {x.ops, x.pass,
          x.ops->activation(x.pass, static_cast<std::uint32_t>(activation), x.handle)};
}
/// silu(gate) * up.
inline Tensor silu_gate(Tensor gate, Tensor up) {
  return gated(Activation::silu, gate, up);
}
/// Returns in training x with a share of its values zeroed and the rest scaled up; else x.
inline Tensor dropout(Tensor x, float probability) {
  return {x.ops, x.pass, x.ops->dropout(x.pass, x.handle, probability)};
}

/// Rotary position embedding of the leading 2 * inv_freq.size() dimensions of each head.
struct Rope {
  std::span<const float> inv_freq;
  bool interleaved = false;  // pairs (2 i, 2 i + 1) instead of (i, i + dims / 2)
  float scale = 1;           // of sine and cosine
};

/// T5's bias of scores by the distance of key and query, [buckets, heads].
struct RelativeBias {
  Weight table;
  std::int32_t max_distance = 0;  // beyond which distances share a bucket
};

struct Attention {
  float scale = 1;     // of the scores
  float soft_cap = 0;  // 0: none
  const Rope* rope = nullptr;
  const RelativeBias* bias = nullptr;  // instead of rope
  float dropout = 0;                   // of the probabilities, in training
  bool cross = false;                  // keys and values are made of cross_input()
  bool windowed = false;               // what is seen is limited by StackShape::window
};

/// Attention of q [n, heads * key_dim], k [m, kv_heads * key_dim] and v [m, kv_heads * value_dim],
/// none of them rotated: [n, heads * value_dim]. Exactly once a layer; in a stack that reads
/// another, once more with `cross`.
inline Tensor attention(Tensor q, Tensor k, Tensor v, const Attention& attention) {
  gist_attention spec{};
  spec.size = sizeof(gist_attention);
  spec.softmax_scale = attention.scale;
  spec.soft_cap = attention.soft_cap;
  spec.rope_scale = 1;
  spec.source = attention.cross ? GIST_ATTENTION_CROSS : GIST_ATTENTION_SELF;
  spec.dropout = attention.dropout;
  spec.windowed = attention.windowed ? 1 : 0;
  spec.bias_table = GIST_NONE;
  if (attention.bias != nullptr) {
    spec.position = GIST_POSITION_RELATIVE_BIAS;
    spec.bias_table = attention.bias->table.index;
    spec.bias_max_distance = attention.bias->max_distance;
  }
  if (attention.rope != nullptr) {
    spec.position = GIST_POSITION_ROPE;
    spec.rope_inv_freq = attention.rope->inv_freq.data();
    spec.rope_dims = static_cast<std::int32_t>(2 * attention.rope->inv_freq.size());
    spec.rope_interleaved = attention.rope->interleaved ? 1 : 0;
    spec.rope_scale = attention.rope->scale;
  }
  return {q.ops, q.pass, q.ops->attention(q.pass, q.handle, k.handle, v.handle, &spec)};
}

/// Mixtures of experts: the host's gist.moe.1, which a family that needs it asks for as it is
/// configured.
inline void require_experts(const Config& config) {
  if (config.extension(GIST_MOE_1) != nullptr) return;
  throw Rejected("this gist computes no mixtures of experts (" GIST_MOE_1 "): it is too old");
}
inline const gist_moe& moe_of(const gist_ops& ops) {
  const auto* moe = static_cast<const gist_moe*>(ops.extension(GIST_MOE_1));
  if (moe == nullptr) throw Rejected("the host has no " GIST_MOE_1);
  return *moe;
}

/// Which k experts each of n rows goes to, and how much they count: [n, k].
struct Routing {
  Tensor weights;
};
/// The k experts of each row with the largest logits [n, experts]. They count by their softmax over
/// all experts, which `normalised` divides by the sum of those chosen.
inline Routing top_k_routing(Tensor logits, std::int32_t k, bool normalised) {
  const gist_moe& moe = moe_of(*logits.ops);
  return {{logits.ops, logits.pass,
           moe.top_k_routing(logits.pass, logits.handle, k, normalised ? 1 : 0)}};
}
/// Copies of x's rows for each of their experts, grouped by expert: [n k, d].
inline Tensor rows_by_expert(Tensor x, Routing routing) {
  return {x.ops, x.pass, moe_of(*x.ops).rows_by_expert(x.pass, x.handle, routing.weights.handle)};
}
/// x[n k, d] w[m, d]^T, each row with its expert's weight: [n k, m].
inline Tensor expert_linear(Tensor x, Routing routing, const ExpertMatrices& weights) {
  return {
      x.ops, x.pass,
      moe_of(*x.ops).expert_linear(x.pass, x.handle, routing.weights.handle, weights.indices.data(),
                                   static_cast<std::uint32_t>(weights.indices.size()))};
}
/// The sum of each row's copies in x[n k, d], times what their experts count: [n, d].
inline Tensor mixed_rows(Tensor x, Routing routing) {
  return {x.ops, x.pass, moe_of(*x.ops).mixed_rows(x.pass, x.handle, routing.weights.handle)};
}

/// The border: a family's members as C callbacks that let no exception out.
template <typename Family>
struct Border {
  struct Model {
    Declaration declaration;
    const Family family;
    explicit Model(const Config& config) : family(config, declaration) {}
  };

  static gist_status configure(const gist_config_host* host, const gist_config* config,
                               gist_model* model) noexcept {
    try {
      auto made = std::make_unique<Model>(Config(*host, *config));
      made->declaration.fill(*model);
      model->self = made.release();
      return GIST_OK;
    } catch (const Declined& declined) {
      host->reject(config, declined.what());
      return GIST_DECLINED;
    } catch (const std::exception& error) {
      host->reject(config, error.what());
    } catch (...) {
      host->reject(config, "an exception of unknown type was thrown");
    }
    return GIST_FAILED;
  }

  static void destroy(void* self) noexcept { delete static_cast<Model*>(self); }

  static gist_tensor enter(void* self, const gist_ops* ops, gist_pass* pass,
                           std::int32_t stack) noexcept {
    return guarded(ops, pass, [&] { return family(self).enter(Pass{ops, pass}, stack); });
  }
  static gist_tensor layer(void* self, const gist_ops* ops, gist_pass* pass, std::int32_t stack,
                           std::int32_t layer, gist_tensor hidden) noexcept {
    return guarded(ops, pass, [&] {
      return family(self).layer(Pass{ops, pass}, stack, layer, Tensor{ops, pass, hidden});
    });
  }
  static gist_tensor leave(void* self, const gist_ops* ops, gist_pass* pass, std::int32_t stack,
                           gist_tensor hidden) noexcept {
    return guarded(ops, pass, [&] {
      return family(self).leave(Pass{ops, pass}, stack, Tensor{ops, pass, hidden});
    });
  }

  static constexpr gist_family describe() {
    return {sizeof(gist_family),
            static_cast<std::uint32_t>(Family::architectures.size()),
            Family::id,
            Family::architectures.data(),
            &configure,
            &destroy,
            &enter,
            &layer,
            &leave};
  }

 private:
  static const Family& family(void* self) { return static_cast<Model*>(self)->family; }

  template <typename Body>
  static gist_tensor guarded(const gist_ops* ops, gist_pass* pass, const Body& body) noexcept {
    try {
      return body().handle;
    } catch (const std::exception& error) {
      return ops->fail(pass, error.what());
    } catch (...) {
      return ops->fail(pass, "an exception of unknown type was thrown");
    }
  }
};

template <typename... Families>
inline constexpr gist_family families[] = {Border<Families>::describe()...};

template <typename... Families>
constexpr gist_plugin_info describe_plugin(const char* name, const char* version) {
  return {GIST_PLUGIN_MAGIC,   GIST_ABI_MAJOR,        GIST_ABI_MINOR, sizeof(gist_plugin_info),
          sizeof...(Families), families<Families...>, name,           version};
}

}  // namespace v1_0
#pragma GCC visibility pop
}  // namespace gist::sdk

/// Defines the exported symbol of a plugin with these families: once in a library, outside
/// namespaces. gist_add_plugin defines GIST_PLUGIN_NAME and GIST_PLUGIN_VERSION, the strings that
/// the manifest holds, too.
#define GIST_PLUGIN(...)                         \
  constinit const gist_plugin_info gist_plugin = \
      ::gist::sdk::describe_plugin<__VA_ARGS__>(GIST_PLUGIN_NAME, GIST_PLUGIN_VERSION)
