#include "tests/core/loaded_model.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <random>

#include "formats/checkpoint.h"
#include "plugins/host/plugin_host.h"

namespace gist {
namespace {

nlohmann::json config_of(const std::string& model) {
  std::ifstream file(directory_of(model) / "config.json");
  return nlohmann::json::parse(file);
}

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
  return load_family(plugin_directories({GIST_PLUGINS}), config_of(model), model + "/config.json",
                     "");
}

LoadedModel load_model(const std::string& model, const CpuOptions& options) {
  LoadedModel loaded;
  loaded.eos = config_of(model)["eos_token_id"];
  loaded.backend = make_cpu_backend(options);
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

Weights random_weights(const ModelSpec& spec, std::uint32_t seed) {
  std::mt19937 random(seed);
  Weights weights;
  for (const WeightSpec& weight : spec.weights) {
    if (!weight.tied_to.empty()) continue;
    std::normal_distribution<float> normal(weight.use == WeightUse::vector ? 1.0F : 0.0F, 0.3F);
    const int copies = copies_of(weight, spec);
    for (int layer = 0; layer < copies; ++layer) {
      std::vector<float>& values = weights[weight_name(weight, layer)];
      for (std::int64_t i = 0; i < weight.shape.elements(); ++i) values.push_back(normal(random));
    }
  }
  return weights;
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

LoadedModel random_model(const LlamaShape& shape, std::uint32_t seed) {
  LoadedModel loaded;
  loaded.shape = shape;
  loaded.backend = make_cpu_backend();
  auto family = std::make_unique<LlamaFamily>(shape);
  const Weights weights = random_weights(family->spec(), seed);
  const WeightSource source = source_of(family->spec(), weights);
  loaded.model = std::make_unique<Model>(std::move(family), *loaded.backend, source);
  return loaded;
}

}  // namespace gist
