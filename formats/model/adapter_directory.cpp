#include "formats/model/adapter_directory.h"

#include <cmath>
#include <optional>
#include <string_view>

#include <nlohmann/json.hpp>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/model/gist_token.h"
#include "formats/model/safetensors.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr const char* config_name = "adapter_config.json";
constexpr const char* weights_name = "adapter_model.safetensors";
// Under this key stands what PEFT's configuration has no words for.
constexpr const char* gist_key = "gist";
constexpr const char* rows_key = "rows";
constexpr const char* gist_rows = "gist";
constexpr const char* ids_key = "ids";
constexpr const char* base_key = "base_sha256";

/// Keys of PEFT's that change what is computed, and what they must be where they are there.
const json& plain_lora() {
  static const json values{{"peft_type", "LORA"},
                           {"bias", "none"},
                           {"use_rslora", false},
                           {"use_dora", false},
                           {"fan_in_fan_out", false},
                           {"rank_pattern", json::object()},
                           {"alpha_pattern", json::object()}};
  return values;
}

template <typename T>
T member(const json& content, const char* name, const std::string& where) {
  try {
    return content.at(name).get<T>();
  } catch (const json::exception&) {
    fail(ErrorKind::data, "{}: \"{}\" is missing or of another type", where, name);
  }
}

const json& gist_member(const json& config, const std::string& where) {
  const auto found = config.find(gist_key);
  if (found == config.end() || !found->is_object() || found->value(rows_key, json()) != gist_rows) {
    fail(ErrorKind::data,
         "{}: lacks \"{}\": {{\"{}\": \"{}\", ...}}: the adapter acts on all tokens, and gist runs "
         "those that act on gist tokens alone, as gist train --adapter makes them",
         where, gist_key, rows_key, gist_rows);
  }
  return *found;
}

void check_kind(const json& config, const std::string& where) {
  for (const auto& [key, expected] : plain_lora().items()) {
    const auto found = config.find(key);
    if (found == config.end() ? key != "peft_type" : *found == expected) continue;
    fail(ErrorKind::data, "{}: \"{}\" should be {}, found {}: gist runs plain low-rank adapters",
         where, key, text_of_json(expected),
         found == config.end() ? "nothing" : text_of_json(*found));
  }
}

AdapterSpec spec_in(const json& config, const std::string& where) {
  check_kind(config, where);
  const json& own = gist_member(config, where);
  AdapterSpec spec;
  spec.rank = member<int>(config, "r", where);
  spec.alpha = member<float>(config, "lora_alpha", where);
  spec.dropout = member<float>(config, "lora_dropout", where);
  spec.targets = member<std::vector<std::string>>(config, "target_modules", where);
  const std::optional<GistIds> ids = gist_ids_listed(own.value(ids_key, json()));
  if (!ids) {
    fail(ErrorKind::data, "{}: \"{}\" should be 1 to {} numbers that follow each other", where,
         ids_key, most_gist_ids);
  }
  spec.gist_ids = *ids;
  const bool finite = std::isfinite(spec.alpha);
  if (spec.rank < 1 || !finite || !(spec.alpha > 0) || !(spec.dropout >= 0 && spec.dropout < 1)) {
    fail(ErrorKind::data,
         "{}: expected \"r\" of 1 or more, \"lora_alpha\" above 0 and \"lora_dropout\" in [0, 1); "
         "found {}, {} and {}",
         where, spec.rank, spec.alpha, spec.dropout);
  }
  return spec;
}

/// PEFT's name of one of core/adapter.h's tensors.
std::string stored_name(const std::string& name) {
  constexpr std::string_view prefix = "base_model.model.", rows_end = gist_rows_end;
  if (!name.ends_with(rows_end)) return fmt::format("{}{}", prefix, name);
  return fmt::format("{}{}.token_adapter.trainable_tokens_delta", prefix,
                     name.substr(0, name.size() - rows_end.size()));
}

std::string path_of(const std::filesystem::path& directory) {
  if (has_adapter(directory)) return directory.string();
  fail(ErrorKind::no_input, "{}: no adapter (--adapter): it has no {}", directory.string(),
       config_name);
}

}  // namespace

bool has_adapter(const std::filesystem::path& directory) {
  return may_exist(directory / config_name);
}

AdapterFiles::AdapterFiles(const std::filesystem::path& directory)
    : path(path_of(directory)), checkpoint(directory, weights_name) {
  const std::string where = (directory / config_name).string();
  const json config = read_json_object(directory / config_name);
  spec = spec_in(config, where);
  base_sha256 = member<std::string>(gist_member(config, where), base_key, where);
}

WeightSource AdapterFiles::source() const {
  WeightSource result = checkpoint.source();
  result.find = [find = result.find](const std::string& name) { return find(stored_name(name)); };
  result.done = [done = result.done](const std::string& name) { done(stored_name(name)); };
  return result;
}

std::vector<std::string> write_adapter_directory(const std::filesystem::path& directory,
                                                 const AdapterContent& content) {
  const AdapterSpec& spec = content.spec;
  std::vector<std::int32_t> ids;
  for (std::int32_t id = spec.gist_ids.first; spec.gist_ids.contains(id); ++id) ids.push_back(id);
  nlohmann::ordered_json config{
      {"peft_type", "LORA"},
      {"task_type", content.encoder_decoder ? "SEQ_2_SEQ_LM" : "CAUSAL_LM"},
      {"base_model_name_or_path", content.base_path},
      {"r", spec.rank},
      {"lora_alpha", spec.alpha},
      {"lora_dropout", spec.dropout},
      {"target_modules", spec.targets},
      {"bias", "none"},
      {"fan_in_fan_out", false},
      {"inference_mode", true},
      {gist_key, {{rows_key, gist_rows}, {ids_key, ids}, {base_key, content.base_sha256}}}};
  write_file_atomically(directory / config_name, text_of_json(config, 2) + "\n");
  std::vector<NamedTensor> tensors = content.tensors;
  for (NamedTensor& tensor : tensors) tensor.name = stored_name(tensor.name);
  write_safetensors_file(directory / weights_name, tensors);
  write_gist_json(directory, content.settings);
  return write_tokenizer(content.tokenizer, directory, spec.gist_ids.count);
}

}  // namespace gist
