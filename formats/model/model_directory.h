// A Hugging Face directory: config.json, weights, tokenizer, and gist.json where gist trained it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/gist_ids.h"
#include "core/visibility.h"
#include "formats/model/checkpoint.h"
#include "formats/model/named_templates.h"
#include "formats/model/prompt_template.h"
#include "formats/model/safetensors.h"
#include "formats/model/tokenizer.h"

namespace gist {

constexpr const char* generation_config_name = "generation_config.json";

/// gist.json: {"format": "gist-model", "version": "1.0", "condition": "gist", "gist_tokens": 1,
/// "template": [...]}. Newer major versions are refused.
///
/// Version 1.1 is written where a gist has distinct ids, or one of several lengths. There
/// "gist_tokens" is an object, which a reader of 1.0 refuses by its name: {"least": 1, "most": 4,
/// "ids": [512, 513, 514, 515]}. A gist of k tokens, least <= k <= most, has the first k ids; where
/// there is only one, that one k times.
struct GistSettings {
  Condition condition = Condition::gist;
  std::int32_t gist_tokens = 1;  // a prompt has, unless another number is asked for; the most
  PromptTemplate prompt_template = decoder_template();
  /// Tensors of the model that training started from which it left out, as it was told to.
  std::vector<std::string> ignored_tensors = {};
  std::int32_t least_gist_tokens = 0;  // that a prompt may have; 0: 1.0, which doesn't say it
  GistIds distinct_ids = {};           // none: the tokenizer's <GIST> alone, repeated
};

/// Ids that a JSON list names: 1 to most_gist_ids whole numbers that follow each other; nothing where
/// it is anything else.
std::optional<GistIds> gist_ids_listed(const nlohmann::json& list);

std::optional<GistSettings> read_gist_json(const std::filesystem::path& directory);
void write_gist_json(const std::filesystem::path& directory, const GistSettings& settings);

/// config.json, whole: keys that gist doesn't know are kept; of a GGUF file what stands for it
/// (gguf_config.h). Throws Error(no_input) where there is none, Error(data) with line and column
/// where it is not a JSON object.
nlohmann::json read_config_json(const std::filesystem::path& directory);
/// Where that stands, for messages: the config.json, or the GGUF file.
std::string config_place(const std::filesystem::path& directory);

/// ModelContent is what a model's directory is made of.
struct ModelContent {
  nlohmann::json config;             // config.json
  std::vector<NamedTensor> tensors;  // views: what they point to must outlive the call
  GistSettings settings;             // gist.json
  std::filesystem::path tokenizer;  // a directory or a vocabulary file, as write_tokenizer takes it
  std::int32_t gist_tokens = 0;     // <GIST>, <GIST1>, ... that the tokenizer is to have
  std::filesystem::path same_weights;  // a directory that has these tensors already; "" for none
  std::filesystem::path source;  // has the generation_config.json to copy, if any; "" for none
};

/// Hugging Face cuts weights into files of this many bytes.
constexpr std::size_t default_shard_bytes = 5'000'000'000;

/// Writes a directory that transformers loads: config.json, weights, tokenizer, gist.json and
/// generation_config.json. `directory` exists (see AtomicDirectory); each file is durable when it
/// has its name. The answer is what write_tokenizer left out. Throws Error(io) and
/// Error(cannot_create) where writing fails, and as reading the sources does.
[[nodiscard]] std::vector<std::string> write_model_directory(
    const std::filesystem::path& directory, const ModelContent& content,
    std::size_t max_shard_bytes = default_shard_bytes);

}  // namespace gist
