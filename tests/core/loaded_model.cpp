#include "tests/core/loaded_model.h"

#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/model/checkpoint.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

nlohmann::json config_of(const std::string& model) {
  std::ifstream file(directory_of(model) / "config.json");
  return nlohmann::json::parse(file);
}

std::unique_ptr<Family> served(const nlohmann::json& config, const std::string& name) {
  return load_family(plugin_directories({.first = {GIST_PLUGINS}}), config, name, "");
}

struct SmallFamily {
  const char* name;
  const char* config;
};
constexpr SmallFamily small[] = {
    {"llama", R"({"architectures": ["LlamaForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50,
      "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "initializer_range": 0.3})"},
    // A window that rows cross, and in a part of the layers alone.
    {"qwen2", R"({"architectures": ["Qwen2ForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 50,
      "rms_norm_eps": 1e-5, "initializer_range": 0.3, "use_sliding_window": true,
      "sliding_window": 5, "max_window_layers": 1})"},
    // Norms of each head.
    {"qwen3", R"({"architectures": ["Qwen3ForCausalLM"], "hidden_size": 32, "intermediate_size": 48,
      "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
      "vocab_size": 50, "rms_norm_eps": 1e-5, "initializer_range": 0.3})"},
    // Norms with an offset, behind attention and MLP, too; scaled embeddings; two rotations.
    {"gemma3", R"({"architectures": ["Gemma3ForCausalLM"], "hidden_size": 32,
      "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
      "num_key_value_heads": 2, "head_dim": 12, "vocab_size": 50, "rms_norm_eps": 1e-5,
      "initializer_range": 0.3, "query_pre_attn_scalar": 12, "sliding_window": 5,
      "sliding_window_pattern": 2, "final_logit_softcapping": 20})"},
    // Layer norms, learned positions, parts of a product, matrices that are stored transposed.
    {"gpt2", R"({"architectures": ["GPT2LMHeadModel"], "n_embd": 32, "n_layer": 2, "n_head": 4,
      "n_positions": 64, "vocab_size": 50, "initializer_range": 0.3, "embd_pdrop": 0,
      "attn_pdrop": 0, "resid_pdrop": 0})"},
    {"t5",
     R"({"architectures": ["T5ForConditionalGeneration"], "d_model": 32, "d_kv": 6, "d_ff": 48,
      "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4, "vocab_size": 50,
      "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
      "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16})"},
    // A table of biases in each layer.
    {"umt5",
     R"({"architectures": ["UMT5ForConditionalGeneration"], "model_type": "umt5", "d_model": 32,
      "d_kv": 6, "d_ff": 48, "num_layers": 2, "num_decoder_layers": 3, "num_heads": 4,
      "vocab_size": 50, "feed_forward_proj": "gated-gelu", "tie_word_embeddings": false,
      "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16})"},
    // No relu: at its kink, loss has no slope.
    {"t5_tied", R"({"architectures": ["T5ForConditionalGeneration"], "d_model": 32, "d_kv": 8,
      "d_ff": 48, "num_layers": 2, "num_heads": 4, "vocab_size": 50,
      "feed_forward_proj": "gated-silu"})"},
};

}  // namespace

std::filesystem::path directory_of(const std::string& model) {
  return std::filesystem::path(GIST_FIXTURES) / "models" / model;
}

LlamaShape shape_of(const std::string& model) {
  const nlohmann::json config = config_of(model);
  LlamaShape shape;
  shape.d_model = config["hidden_size"];
  shape.mlp_dim = config["intermediate_size"];
  shape.vocabulary = config["vocab_size"];
  shape.layers = config["num_hidden_layers"];
  shape.heads = config["num_attention_heads"];
  shape.kv_heads = config.value("num_key_value_heads", shape.heads);
  shape.max_positions = config["max_position_embeddings"];
  shape.eps = config["rms_norm_eps"];
  shape.theta = config.value("rope_theta", 10000.0F);
  shape.tied = config["tie_word_embeddings"];
  return shape;
}

std::unique_ptr<Family> plugin_family(const std::string& model) {
  return served(config_of(model), model + "/config.json");
}

LoadedModel load_model(const std::string& model, const CpuOptions& options) {
  LoadedModel loaded;
  loaded.eos = config_of(model)["eos_token_id"];
  loaded.backend = test_backend(options);
  const Checkpoint checkpoint(directory_of(model));
  loaded.model =
      std::make_unique<Model>(plugin_family(model), *loaded.backend, checkpoint.source());
  return loaded;
}

Weights weights_of(const std::string& model) {
  const Checkpoint checkpoint(directory_of(model));
  const WeightSource source = checkpoint.source();
  Weights weights;
  for (const auto& [name, entry] : checkpoint.tensors()) {
    const HostTensor tensor = *source.find(name);
    std::vector<float>& values = weights[name];
    values.resize(static_cast<std::size_t>(tensor.shape.elements()));
    convert_to_f32(tensor.data, tensor.dtype, tensor.shape.elements(), values.data());
  }
  return weights;
}

namespace {

/// deviation(weight): of a weight that is no vector.
template <typename Deviation>
Weights drawn_weights(const ModelSpec& spec, std::uint32_t seed, Deviation deviation) {
  std::mt19937 random(seed);
  Weights weights;
  for (const WeightSpec& weight : spec.weights) {
    if (!weight.tied_to.empty()) continue;
    const bool vector = weight.use == WeightUse::vector;
    std::normal_distribution<float> normal(vector ? 1.0F : 0.0F, vector ? 0.3F : deviation(weight));
    const int copies = copies_of(weight, spec);
    for (int layer = 0; layer < copies; ++layer) {
      std::vector<float>& values = weights[weight_name(weight, layer)];
      for (std::int64_t i = 0; i < weight.shape.elements(); ++i) values.push_back(normal(random));
    }
  }
  return weights;
}

}  // namespace

Weights random_weights(const ModelSpec& spec, std::uint32_t seed) {
  return drawn_weights(spec, seed, [](const WeightSpec&) { return 0.3F; });
}

Weights initial_weights(const ModelSpec& spec, std::uint32_t seed) {
  return drawn_weights(spec, seed, [](const WeightSpec& weight) { return weight.init.value; });
}

WeightSource source_of(const ModelSpec& spec, const Weights& weights) {
  WeightSource source = shapes_only(spec, Dtype::f32);
  source.find = [shapes = source.find, &weights](const std::string& name) {
    std::optional<HostTensor> tensor = shapes(name);
    const auto found = weights.find(name);
    if (!tensor || found == weights.end()) return std::optional<HostTensor>();
    tensor->data = reinterpret_cast<const std::byte*>(found->second.data());
    return tensor;
  };
  source.description = "the test's weights";
  return source;
}

std::vector<std::string> small_families() {
  std::vector<std::string> names;
  for (const SmallFamily& family : small) names.emplace_back(family.name);
  return names;
}

std::unique_ptr<Family> small_family(const std::string& name) {
  const auto* found = std::ranges::find(small, name, &SmallFamily::name);
  return served(nlohmann::json::parse(found->config), name);
}

LlamaShape small_shape() {
  LlamaShape shape;
  shape.d_model = 32;
  shape.mlp_dim = 48;
  shape.vocabulary = 50;
  shape.layers = 2;
  shape.heads = 4;
  shape.kv_heads = 2;
  shape.max_positions = 64;
  return shape;
}

namespace {

LoadedModel model_of(std::unique_ptr<Family> family, const Weights& weights,
                     std::unique_ptr<Backend> backend = test_backend()) {
  LoadedModel loaded;
  loaded.backend = std::move(backend);
  const WeightSource source = source_of(family->spec(), weights);
  loaded.model = std::make_unique<Model>(std::move(family), *loaded.backend, source);
  return loaded;
}

}  // namespace

LoadedModel random_model(const LlamaShape& shape, std::uint32_t seed) {
  auto family = std::make_unique<LlamaFamily>(shape);
  const Weights weights = random_weights(family->spec(), seed);
  LoadedModel loaded = model_of(std::move(family), weights);
  loaded.shape = shape;
  return loaded;
}

LoadedModel small_model(const std::string& family, std::unique_ptr<Backend> backend) {
  auto served = small_family(family);
  const Weights weights = initial_weights(served->spec(), 1);
  return model_of(std::move(served), weights, std::move(backend));
}

}  // namespace gist
