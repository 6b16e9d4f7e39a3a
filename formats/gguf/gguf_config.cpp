#include "formats/gguf/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <set>
#include <string>
#include <utility>

#include "formats/files/text.h"
#include "formats/gguf/gguf_tensors.h"
#include "formats/gguf/gguf_tokenizer.h"
#include "formats/model/tensor_file.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

/// The keys "ARCHITECTURE.NAME" of a file, and which of them were asked for.
class ArchitectureKeys {
 public:
  ArchitectureKeys(const GgufFile& file, const std::string& architecture)
      : file_(file), prefix_(architecture + ".") {}

  std::string place(const std::string& name) const { return file_.place_of(prefix_ + name); }

  std::optional<std::int64_t> integer(const std::string& name) { return file_.integer(key(name)); }
  std::optional<double> number(const std::string& name) { return file_.number(key(name)); }
  std::optional<std::string> text(const std::string& name) { return file_.text(key(name)); }
  void ignore(const std::string& name) { key(name); }

  std::int64_t needed_integer(const std::string& name) {
    const std::optional<std::int64_t> value = integer(name);
    if (!value) fail(ErrorKind::data, "{}: is missing", place(name));
    return *value;
  }
  double needed_number(const std::string& name) {
    const std::optional<double> value = number(name);
    if (!value) fail(ErrorKind::data, "{}: is missing", place(name));
    return *value;
  }

  /// Throws Error(data) where the key has another value; it may be missing.
  void require(const std::string& name, double wanted, const char* why) {
    const std::optional<double> value = number(name);
    if (value && *value != wanted) {
      fail(ErrorKind::data, "{}: is {}, and gist can follow {} alone: {}", place(name), *value,
           wanted, why);
    }
  }

  /// Adds what nobody asked for.
  void add_unread(json& config) const {
    for (const auto& [name, value] : file_.metadata) {
      if (!name.starts_with(prefix_) || asked_.contains(name)) continue;
      config[name] = std::visit(
          [](const auto& each) -> json {
            using Value = std::decay_t<decltype(each)>;
            if constexpr (std::is_same_v<Value, GgufArray>) {
              return json::array({each.count});
            } else if constexpr (std::is_same_v<Value, std::string_view>) {
              return valid_utf8(each) ? json(std::string(each)) : json("");
            } else {
              return json(each);
            }
          },
          value);
    }
  }

 private:
  std::string key(const std::string& name) {
    std::string key = prefix_ + name;
    asked_.insert(key);
    return key;
  }

  const GgufFile& file_;
  std::string prefix_;
  std::set<std::string> asked_;
};

std::int64_t vocabulary_of(const GgufFile& file, ArchitectureKeys& keys) {
  constexpr const char* table = "token_embd.weight";
  const auto found = file.tensors.find(table);
  if (found == file.tensors.end() || found->second.shape.size() != 2) {
    fail(ErrorKind::data, "{}: should be a matrix, and there",
         place_of_tensor(file.file.path(), table));
  }
  const std::int64_t rows = found->second.shape[0];
  const std::optional<std::int64_t> stated = keys.integer("vocab_size");
  if (stated && *stated != rows) {
    fail(ErrorKind::data, "{}: is {}, but {} has {} rows", keys.place("vocab_size"), *stated, table,
         rows);
  }
  return rows;
}

/// By how much LLaMA 3.1's rule divides each frequency: LlamaModel.generate_extra_tensors() in
/// llama.cpp's convert_hf_to_gguf.py, which leaves nothing but these numbers in a file.
std::vector<double> llama3_divisors(double theta, std::size_t count, double factor) {
  constexpr double low = 1, high = 4, context = 8192;  // of all published models
  std::vector<double> divisors;
  for (std::size_t i = 0; i < count; ++i) {
    const double frequency = std::pow(theta, -static_cast<double>(i) / static_cast<double>(count));
    const double wavelength = 2 * std::numbers::pi / frequency;
    const double smooth = (context / wavelength - low) / (high - low);
    divisors.push_back(wavelength < context / high  ? 1
                       : wavelength > context / low ? factor
                                                    : 1 / ((1 - smooth) / factor + smooth));
  }
  return divisors;
}

/// Of rope_freqs.weight, the divisors of frequencies.
json scaling_by_divisors(const GgufFile& file, double theta) {
  constexpr const char* name = "rope_freqs.weight";
  const std::vector<float> found = gguf_values(file.tensors.at(name));
  const double factor = found.empty() ? 0 : *std::max_element(found.begin(), found.end());
  const std::vector<double> expected = llama3_divisors(theta, found.size(), factor);
  const bool equal = std::equal(
      found.begin(), found.end(), expected.begin(),
      [](float a, double b) { return std::abs(static_cast<double>(a) - b) <= 1e-4 * std::abs(b); });
  if (!equal || !(factor >= 1)) {
    fail(ErrorKind::data,
         "{}: its divisors of rotary frequencies aren't those of Llama 3.1 (factor, from 1 to 4 of "
         "8192 positions), which are the only ones that gist can follow: give the Hugging Face "
         "directory that the file was made from",
         place_of_tensor(file.file.path(), name));
  }
  return {{"rope_type", "llama3"},
          {"factor", factor},
          {"low_freq_factor", 1.0},
          {"high_freq_factor", 4.0},
          {"original_max_position_embeddings", 8192}};
}

/// Of Phi-3, whose longer contexts have factors in tensors (Phi3MiniModel in llama.cpp's conversion).
json longrope_scaling(const GgufFile& file, ArchitectureKeys& keys) {
  json scaling = {{"type", "longrope"},
                  {"short_factor", gguf_values(file.tensors.at("rope_factors_short.weight"))},
                  {"long_factor", gguf_values(file.tensors.at("rope_factors_long.weight"))}};
  // The rule of transformers, which refuses more members than it needs.
  const double context = static_cast<double>(keys.needed_integer("context_length"));
  const double original = static_cast<double>(keys.integer("rope.scaling.original_context_length")
                                                  .value_or(static_cast<std::int64_t>(context)));
  const double usual =
      context > original ? std::sqrt(1 + std::log(context / original) / std::log(original)) : 1;
  const double factor = keys.number("rope.scaling.attn_factor").value_or(usual);
  if (std::abs(factor - usual) > 1e-6 * usual) scaling["attention_factor"] = factor;
  return scaling;
}

json yarn_scaling(ArchitectureKeys& keys) {
  json scaling = {{"rope_type", "yarn"}, {"factor", keys.needed_number("rope.scaling.factor")}};
  if (const auto context = keys.integer("rope.scaling.original_context_length")) {
    scaling["original_max_position_embeddings"] = *context;
  }
  constexpr std::array<std::pair<const char*, const char*>, 3> names = {
      {{"rope.scaling.yarn_beta_fast", "beta_fast"},
       {"rope.scaling.yarn_beta_slow", "beta_slow"},
       {"rope.scaling.yarn_attn_factor", "attention_factor"}}};
  for (const auto& [gguf, name] : names) {
    if (const auto value = keys.number(gguf)) scaling[name] = *value;
  }
  keys.require("rope.scaling.yarn_ext_factor", 1, "how much YaRN extrapolates");
  keys.require("rope.scaling.yarn_log_multiplier", 0, "a factor of the attention's magnitude");
  return scaling;
}

/// "rope_scaling"; null where frequencies are powers of theta.
json scaling_of(const GgufFile& file, ArchitectureKeys& keys, double theta) {
  keys.ignore("rope.scaling.finetuned");
  const std::string type = keys.text("rope.scaling.type").value_or("none");
  json scaling;
  if (file.tensors.contains("rope_factors_short.weight") &&
      file.tensors.contains("rope_factors_long.weight")) {
    scaling = longrope_scaling(file, keys);
  } else if (type == "yarn") {
    scaling = yarn_scaling(keys);
  } else if (type == "linear") {
    scaling = {{"rope_type", "linear"}, {"factor", keys.needed_number("rope.scaling.factor")}};
  } else if (type != "none") {
    fail(ErrorKind::data,
         "{}: gist knows none, linear and yarn, and longrope with its tensors; found {}",
         keys.place("rope.scaling.type"), in_quotes(type));
  }
  if (scaling.is_null() || scaling.value("type", "") != "longrope") {
    keys.require("rope.scaling.attn_factor", 1, "a factor of the attention's magnitude");
  }
  if (!file.tensors.contains("rope_freqs.weight")) return scaling;
  if (!scaling.is_null()) {
    fail(ErrorKind::data, "{}: beside another scaling, which gist can't follow",
         place_of_tensor(file.file.path(), "rope_freqs.weight"));
  }
  return scaling_by_divisors(file, theta);
}

/// What a config.json and GGUF say of all rotary decoders.
json rotary_decoder(const GgufFile& file, ArchitectureKeys& keys) {
  json config;
  const std::int64_t width = keys.needed_integer("embedding_length");
  const std::int64_t heads = keys.needed_integer("attention.head_count");
  config["hidden_size"] = width;
  config["intermediate_size"] = keys.needed_integer("feed_forward_length");
  config["num_hidden_layers"] = keys.needed_integer("block_count");
  config["num_attention_heads"] = heads;
  config["num_key_value_heads"] = keys.integer("attention.head_count_kv").value_or(heads);
  config["max_position_embeddings"] = keys.needed_integer("context_length");
  config["rms_norm_eps"] = keys.needed_number("attention.layer_norm_rms_epsilon");

  if (heads < 1)
    fail(ErrorKind::data, "{}: should be 1 or more", keys.place("attention.head_count"));
  const std::int64_t head_dim = keys.integer("attention.key_length").value_or(width / heads);
  keys.require("attention.value_length", static_cast<double>(head_dim),
               "values are as wide as keys");
  config["head_dim"] = head_dim;
  const std::int64_t rotated = keys.integer("rope.dimension_count").value_or(head_dim);
  if (rotated != head_dim) {
    config["partial_rotary_factor"] =
        static_cast<double>(rotated) / static_cast<double>(std::max<std::int64_t>(head_dim, 1));
  }
  const double theta = keys.number("rope.freq_base").value_or(10000);
  config["rope_theta"] = theta;
  if (json scaling = scaling_of(file, keys, theta); !scaling.is_null()) {
    config["rope_scaling"] = std::move(scaling);
  }
  keys.require("expert_count", 0, "a mixture of experts is another architecture");
  keys.require("expert_used_count", 0, "a mixture of experts is another architecture");
  return config;
}

/// The same of those whose MLP has a gate of silu.
json silu_decoder(const GgufFile& file, ArchitectureKeys& keys, const char* architecture,
                  const char* model_type) {
  json config = rotary_decoder(file, keys);
  config["architectures"] = {architecture};
  config["model_type"] = model_type;
  config["hidden_act"] = "silu";
  return config;
}

/// Whether layers' queries, keys and values have biases.
bool has_bias(const GgufFile& file, const std::string& part) {
  return file.tensors.contains("blk.0." + part + ".bias");
}

/// A window of 0 is none.
std::optional<std::int64_t> window_of(ArchitectureKeys& keys) {
  const std::optional<std::int64_t> window = keys.integer("attention.sliding_window");
  return window == std::int64_t{0} ? std::nullopt : window;
}

/// LLaMA, or Mistral, which llama.cpp tells by nothing but its window.
json llama_config(const GgufFile& file, ArchitectureKeys& keys) {
  if (const auto window = window_of(keys)) {
    json config = silu_decoder(file, keys, "MistralForCausalLM", "mistral");
    config["sliding_window"] = *window;
    return config;
  }
  json config = silu_decoder(file, keys, "LlamaForCausalLM", "llama");
  config["attention_bias"] = has_bias(file, "attn_q");
  config["mlp_bias"] = has_bias(file, "ffn_up");
  return config;
}

json qwen2_config(const GgufFile& file, ArchitectureKeys& keys) {
  return silu_decoder(file, keys, "Qwen2ForCausalLM", "qwen2");
}

json qwen3_config(const GgufFile& file, ArchitectureKeys& keys) {
  json config = silu_decoder(file, keys, "Qwen3ForCausalLM", "qwen3");
  config["attention_bias"] = has_bias(file, "attn_q");
  return config;
}

json olmo2_config(const GgufFile& file, ArchitectureKeys& keys) {
  if (window_of(keys)) {
    fail(ErrorKind::data, "{}: is OLMo 3's, which gist can't follow",
         keys.place("attention.sliding_window"));
  }
  return silu_decoder(file, keys, "Olmo2ForCausalLM", "olmo2");
}

/// In llama.cpp, src/models/gemma2.cpp and gemma3.cpp, scores are divided by the root of a head's
/// dimension, but in the 27B models, of 46 and 62 layers, by that of embedding_length / heads.
json gemma_config(const GgufFile& file, ArchitectureKeys& keys, std::int64_t largest_layers) {
  json config = rotary_decoder(file, keys);
  config["hidden_activation"] = "gelu_pytorch_tanh";
  const bool largest = config["num_hidden_layers"] == largest_layers;
  config["query_pre_attn_scalar"] = largest ? config["hidden_size"].get<std::int64_t>() /
                                                  config["num_attention_heads"].get<std::int64_t>()
                                            : config["head_dim"].get<std::int64_t>();
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (const auto value = keys.number(cap)) config[cap] = *value;
  }
  if (const auto window = window_of(keys)) config["sliding_window"] = *window;
  return config;
}

json gemma2_config(const GgufFile& file, ArchitectureKeys& keys) {
  json config = gemma_config(file, keys, 46);
  config["architectures"] = {"Gemma2ForCausalLM"};
  config["model_type"] = "gemma2";
  return config;
}

json gemma3_config(const GgufFile& file, ArchitectureKeys& keys) {
  json config = gemma_config(file, keys, 62);
  config["architectures"] = {"Gemma3ForCausalLM"};
  config["model_type"] = "gemma3_text";
  config["rope_local_base_freq"] = keys.number("rope.freq_base_swa").value_or(10000);
  // Every sixth layer sees everything; in a model without a window all do.
  const std::int64_t period = keys.integer("attention.sliding_window_pattern").value_or(6);
  config["sliding_window_pattern"] = config.contains("sliding_window") ? period : 1;
  return config;
}

json phi3_config(const GgufFile& file, ArchitectureKeys& keys) {
  json config = silu_decoder(file, keys, "Phi3ForCausalLM", "phi3");
  if (const auto window = window_of(keys)) config["sliding_window"] = *window;
  if (const auto context = keys.integer("rope.scaling.original_context_length")) {
    config["original_max_position_embeddings"] = *context;
  }
  return config;
}

json gpt2_config(const GgufFile&, ArchitectureKeys& keys) {
  json config;
  config["architectures"] = {"GPT2LMHeadModel"};
  config["model_type"] = "gpt2";
  config["activation_function"] = "gelu_new";
  config["n_embd"] = keys.needed_integer("embedding_length");
  config["n_inner"] = keys.needed_integer("feed_forward_length");
  config["n_layer"] = keys.needed_integer("block_count");
  config["n_head"] = keys.needed_integer("attention.head_count");
  config["n_positions"] = keys.needed_integer("context_length");
  config["layer_norm_epsilon"] = keys.needed_number("attention.layer_norm_epsilon");
  keys.require("attention.head_count_kv", config["n_head"].get<double>(),
               "keys' heads are queries'");
  return config;
}

struct ConfigReading {
  std::string_view architecture;
  json (*config)(const GgufFile& file, ArchitectureKeys& keys);
};
constexpr std::array config_readings = std::to_array<ConfigReading>({
    {"llama", llama_config},
    {"qwen2", qwen2_config},
    {"qwen3", qwen3_config},
    {"olmo2", olmo2_config},
    {"gemma2", gemma2_config},
    {"gemma3", gemma3_config},
    {"phi3", phi3_config},
    {"gpt2", gpt2_config},
});

}  // namespace

json gguf_config(const GgufFile& file) {
  const std::string architecture = gguf_architecture(file);
  ArchitectureKeys keys(file, architecture);
  const auto* const reading =
      std::find_if(config_readings.begin(), config_readings.end(),
                   [&](const ConfigReading& each) { return each.architecture == architecture; });
  json config = reading->config(file, keys);
  config["vocab_size"] = vocabulary_of(file, keys);
  config["tie_word_embeddings"] = !file.tensors.contains("output.weight");
  if (const auto bos = gguf_bos_id(file)) config["bos_token_id"] = *bos;
  if (std::vector<std::int64_t> ends = gguf_end_ids(file); !ends.empty()) {
    config["eos_token_id"] = std::move(ends);
  }
  keys.add_unread(config);
  return config;
}

}  // namespace gist
