// A Hugging Face directory: config.json, weights, tokenizer, and gist.json where gist trained it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "core/visibility.h"
#include "formats/checkpoint.h"
#include "formats/prompt_template.h"
#include "formats/tokenizer.h"

namespace gist {

/// gist.json: {"format": "gist-model", "version": "1.0", "condition": "gist", "gist_tokens": 1,
/// "template": [...]}. Newer major versions are refused.
struct GistSettings {
  Condition condition = Condition::gist;
  std::int32_t gist_tokens = 1;
  PromptTemplate prompt_template = PromptTemplate::decoder_default();
};

std::optional<GistSettings> read_gist_json(const std::filesystem::path& directory);
void write_gist_json(const std::filesystem::path& directory, const GistSettings& settings);

/// config.json, whole: keys that gist doesn't know are kept. Throws Error(no_input) where there is
/// none, Error(data) with line and column where it is not a JSON object.
nlohmann::json read_config_json(const std::filesystem::path& directory);

}  // namespace gist
