#include "plugins/host/config_host.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "plugins/host/op_table.h"

namespace gist {
namespace {

using nlohmann::json;

struct Found {
  gist_status status = GIST_MISSING;
  const json* value = nullptr;
};

Found find(const json& object, std::string_view key);

Found value_of(const json& value, std::string_view rest) {
  if (value.is_null()) return {};
  return rest.empty() ? Found{GIST_OK, &value} : find(value, rest);
}

Found find_in_list(const json& list, std::string_view key) {
  const std::size_t dot = std::min(key.find('.'), key.size());
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + dot, index);
  if (error != std::errc() || end != key.data() + dot) return {GIST_WRONG_TYPE, nullptr};
  if (index >= list.size()) return {};
  return value_of(list[index], key.substr(std::min(dot + 1, key.size())));
}

/// A key of the object itself wins over a path through it.
Found find(const json& object, std::string_view key) {
  if (object.is_array()) return find_in_list(object, key);
  if (!object.is_object()) return {GIST_WRONG_TYPE, nullptr};
  if (const auto at = object.find(key); at != object.end()) {
    return at->is_null() ? Found{} : Found{GIST_OK, &*at};
  }
  const std::size_t dot = key.find('.');
  if (dot == std::string_view::npos) return {};
  const auto at = object.find(key.substr(0, dot));
  return at == object.end() ? Found{} : value_of(*at, key.substr(dot + 1));
}

/// The getters' common part: `convert` answers whether the value has the type.
template <typename T, typename Convert>
gist_status get(const gist_config* config, const char* key, T* value, const Convert& convert) {
  if (config == nullptr || key == nullptr || value == nullptr) return GIST_MISSING;
  try {
    const std::string_view path = key;
    config->asked.emplace(path);
    config->asked.emplace(path.substr(0, path.find('.')));
    const Found found = find(*config->root, path);
    if (found.status != GIST_OK) return found.status;
    return convert(*found.value) ? GIST_OK : GIST_WRONG_TYPE;
  } catch (...) {
    return GIST_WRONG_TYPE;
  }
}

gist_status get_int(const gist_config* config, const char* key, std::int64_t* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_number_integer()) return false;
    if (found.is_number_unsigned() && found.get<std::uint64_t>() > INT64_MAX) return false;
    *value = found.get<std::int64_t>();
    return true;
  });
}

gist_status get_float(const gist_config* config, const char* key, double* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_number()) return false;
    *value = found.get<double>();
    return true;
  });
}

gist_status get_bool(const gist_config* config, const char* key, std::uint8_t* value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_boolean()) return false;
    *value = found.get<bool>() ? 1 : 0;
    return true;
  });
}

gist_status get_string(const gist_config* config, const char* key, const char** value) {
  return get(config, key, value, [&](const json& found) {
    if (!found.is_string()) return false;
    const auto& text = found.get_ref<const std::string&>();
    if (text.find('\0') != std::string::npos) return false;
    *value = text.c_str();
    return true;
  });
}

gist_status get_json(const gist_config* config, const char* key, const char** text) {
  return get(config, key, text, [&](const json& found) {
    *text = config->texts.emplace_back(found.dump()).c_str();
    return true;
  });
}

void reject(const gist_config* config, const char* message) {
  if (config == nullptr || config->rejected) return;
  try {
    config->rejected = message == nullptr ? "" : message;
  } catch (...) {
    config->rejected.emplace();
  }
}

void warn(const gist_config* config, const char* message) {
  if (config == nullptr || message == nullptr) return;
  try {
    constexpr std::size_t most = 100;  // a family in a loop shouldn't fill the memory
    if (config->warnings.size() < most) config->warnings.emplace_back(message);
  } catch (...) {
  }
}

/// What configurations say besides how a model computes: where it comes from, how it was trained,
/// how transformers runs it and decodes.
constexpr std::array harmless = std::to_array<std::string_view>({"_attn_implementation_autoset",
                                                                 "_commit_hash",
                                                                 "_name_or_path",
                                                                 "add_cross_attention",
                                                                 "architectures",
                                                                 "auto_map",
                                                                 "bad_words_ids",
                                                                 "begin_suppress_tokens",
                                                                 "bos_token_id",
                                                                 "cache_implementation",
                                                                 "chunk_size_feed_forward",
                                                                 "classifier_dropout",
                                                                 "cls_token_id",
                                                                 "decoder_start_token_id",
                                                                 "diversity_penalty",
                                                                 "do_sample",
                                                                 "dtype",
                                                                 "early_stopping",
                                                                 "encoder_no_repeat_ngram_size",
                                                                 "eos_token_id",
                                                                 "exponential_decay_length_penalty",
                                                                 "finetuning_task",
                                                                 "forced_bos_token_id",
                                                                 "forced_eos_token_id",
                                                                 "id2label",
                                                                 "initializer_factor",
                                                                 "initializer_range",
                                                                 "is_decoder",
                                                                 "is_encoder_decoder",
                                                                 "is_llama_config",
                                                                 "label2id",
                                                                 "length_penalty",
                                                                 "max_length",
                                                                 "min_length",
                                                                 "model_type",
                                                                 "no_repeat_ngram_size",
                                                                 "num_beam_groups",
                                                                 "num_beams",
                                                                 "num_return_sequences",
                                                                 "output_attentions",
                                                                 "output_hidden_states",
                                                                 "output_past",
                                                                 "output_scores",
                                                                 "pad_token_id",
                                                                 "prefix",
                                                                 "pretraining_tp",
                                                                 "problem_type",
                                                                 "pruned_heads",
                                                                 "remove_invalid_values",
                                                                 "repetition_penalty",
                                                                 "return_dict",
                                                                 "return_dict_in_generate",
                                                                 "sep_token_id",
                                                                 "suppress_tokens",
                                                                 "task_specific_params",
                                                                 "temperature",
                                                                 "tf_legacy_loss",
                                                                 "tie_encoder_decoder",
                                                                 "tokenizer_class",
                                                                 "top_k",
                                                                 "top_p",
                                                                 "torch_dtype",
                                                                 "torchscript",
                                                                 "transformers.js_config",
                                                                 "transformers_version",
                                                                 "typical_p",
                                                                 "unk_token_id",
                                                                 "unsloth_fixed",
                                                                 "unsloth_version",
                                                                 "use_bfloat16",
                                                                 "use_cache"});
static_assert(std::is_sorted(harmless.begin(), harmless.end()));

}  // namespace

const gist_config_host& config_host() {
  static const gist_config_host host = {.size = sizeof(gist_config_host),
                                        .reserved = 0,
                                        .get_int = get_int,
                                        .get_float = get_float,
                                        .get_bool = get_bool,
                                        .get_string = get_string,
                                        .get_json = get_json,
                                        .reject = reject,
                                        .warn = warn,
                                        .extension = op_table().extension};
  return host;
}

std::vector<std::string> unread_keys(const gist_config& config) {
  std::vector<std::string> unread;
  for (const auto& [key, value] : config.root->items()) {
    const bool off = value.is_null() || (value.is_boolean() && !value.get<bool>());
    if (off || config.asked.contains(key) ||
        std::binary_search(harmless.begin(), harmless.end(), key)) {
      continue;
    }
    unread.push_back(key);
  }
  return unread;
}

}  // namespace gist
