#include "formats/model/gist_token.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/model/tokenizer.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* config_name = tokenizer_config_name;
constexpr const char* fast_name = fast_tokenizer_name;
constexpr const char* list_key = additional_tokens_key;
constexpr const char* decoder_key = added_tokens_decoder_key;

/// The JSON files beside a vocabulary. An empty object stands for a file that isn't there.
struct Settings {
  Json added_tokens = Json::object();
  Json special_tokens = Json::object();
  Json config = Json::object();
};

Json object_in(const std::filesystem::path& path) {
  return may_exist(path) ? read_ordered_json_object(path) : Json::object();
}

Settings settings_in(const std::filesystem::path& directory) {
  return {object_in(directory / added_tokens_name), object_in(directory / special_tokens_name),
          object_in(directory / config_name)};
}

/// Whether a vocabulary that comes alone is for LlamaTokenizer, or, having no bos, for T5Tokenizer.
bool is_llamas(const Tokenizer& vocabulary) {
  return vocabulary.bos().has_value();
}

/// The settings under which transformers gives a vocabulary that comes alone the file's own ids.
Settings settings_of(const Tokenizer& vocabulary) {
  Settings settings;
  const auto set = [&](const char* key, std::optional<std::int32_t> id) {
    // null, as the classes have defaults of their own
    settings.config[key] = id ? Json(vocabulary.piece_of_id(*id)) : Json();
    if (id) settings.special_tokens[key] = vocabulary.piece_of_id(*id);
  };
  const bool llamas = is_llamas(vocabulary);
  settings.config = {{"tokenizer_class", llamas ? "LlamaTokenizer" : "T5Tokenizer"},
                     {"legacy", true}};
  if (llamas) set("bos_token", vocabulary.bos());
  set("eos_token", vocabulary.eos());
  set("unk_token", vocabulary.unk());
  if (llamas) {
    settings.config["add_bos_token"] = true;
    settings.config["add_eos_token"] = false;
  } else {
    set("pad_token", vocabulary.id_of_piece("<pad>"));
    settings.config["extra_ids"] = 0;
  }
  return settings;
}

/// T5's class makes its sentinels itself where there is no list; where there is one, it takes them
/// from there.
std::vector<std::string> sentinels_of(const Tokenizer& tokenizer) {
  std::vector<std::string> names;
  for (;;) {
    const std::string name = "<extra_id_" + std::to_string(names.size()) + ">";
    if (!tokenizer.id_of_piece(name)) return names;
    names.push_back(name);
  }
}

Json gist_token_object() {
  return {{"content", Tokenizer::gist_token_name},
          {"lstrip", false},
          {"normalized", false},
          {"rstrip", false},
          {"single_word", false}};
}

/// Newer transformers spell tokens in special_tokens_map.json as objects, older ones as strings.
bool has_objects(const Json& content) {
  const auto is_object = [](const Json& value) { return value.is_object(); };
  const auto list = content.find(list_key);
  return std::any_of(content.begin(), content.end(), is_object) ||
         (list != content.end() && std::any_of(list->begin(), list->end(), is_object));
}

void add_to_list(Json& content, const Json& token, const Tokenizer& tokenizer,
                 const std::filesystem::path& path) {
  const auto found = content.find(list_key);
  if (found == content.end() || found->is_null()) {
    content[list_key] = sentinels_of(tokenizer);
  } else if (!found->is_array()) {
    fail(ErrorKind::data, "{}: \"{}\" should be an array, not {}", path.string(), list_key,
         found->type_name());
  }
  Json& list = content[list_key];
  if (std::find(list.begin(), list.end(), token) == list.end()) list.push_back(token);
}

Json described(const AddedToken& token) {
  return {
      {"content", token.text},  {"lstrip", token.lstrip},           {"normalized", !token.special},
      {"rstrip", token.rstrip}, {"single_word", token.single_word}, {"special", token.special}};
}

/// {"32000": {"content": "<GIST>", ...}}: transformers takes this for all of the added tokens, so
/// those that other files list stand in it, too.
void add_to_decoder(Json& config, const Tokenizer& tokenizer,
                    const std::vector<AddedToken>& listed) {
  Json& decoder = config[decoder_key];
  for (const std::vector<AddedToken>& tokens : {listed, tokenizer.added_tokens()}) {
    for (const AddedToken& token : tokens) {
      const std::string key = std::to_string(token.id);
      if (!decoder.contains(key)) decoder[key] = described(token);
    }
  }
  Json token = gist_token_object();
  token["special"] = true;
  decoder[std::to_string(tokenizer.size())] = std::move(token);
}

/// tokenizer.json is left out, so what it alone lists goes into the other files.
void add_gist_token(Settings& settings, const Tokenizer& tokenizer,
                    const std::filesystem::path& source, const TokenizerSettings& read) {
  for (const AddedToken& token : tokenizer.added_tokens()) {
    settings.added_tokens.emplace(token.text, token.id);
  }
  settings.added_tokens[std::string(Tokenizer::gist_token_name)] = tokenizer.size();
  const Json name = Tokenizer::gist_token_name;
  add_to_list(settings.special_tokens,
              has_objects(settings.special_tokens) ? gist_token_object() : name, tokenizer,
              source / special_tokens_name);
  add_to_list(settings.config, name, tokenizer, source / config_name);
  const auto decoder = settings.config.find(decoder_key);
  const bool has_decoder = decoder != settings.config.end() && !decoder->is_null();
  if (has_decoder || read.only_in_tokenizer_json) {
    add_to_decoder(settings.config, tokenizer, read.listed);
  }
}

void write_settings(const Settings& settings, const std::filesystem::path& target) {
  const auto write = [&target](const char* name, const Json& content) {
    if (!content.empty()) write_file_atomically(target / name, content.dump(2) + "\n");
  };
  write(added_tokens_name, settings.added_tokens);
  write(special_tokens_name, settings.special_tokens);
  write(config_name, settings.config);
}

void copy_durably(const std::filesystem::path& source, const std::filesystem::path& target) {
  write_file_atomically(target, read_file(source));
}

}  // namespace

std::vector<std::string> write_tokenizer(const std::filesystem::path& source,
                                         const std::filesystem::path& target,
                                         bool with_gist_token) {
  const Tokenizer tokenizer = Tokenizer::open(source);
  const bool is_directory = tokenizer.path() != source;
  const bool adds = with_gist_token && !tokenizer.gist_token();
  const char* bare_name = is_llamas(tokenizer) ? "tokenizer.model" : "spiece.model";
  copy_durably(tokenizer.path(), target / (is_directory ? tokenizer.path().filename() : bare_name));
  if (is_directory && !adds) {
    for (const char* name : {added_tokens_name, special_tokens_name, config_name, fast_name}) {
      if (may_exist(source / name)) copy_durably(source / name, target / name);
    }
    return {};
  }
  Settings settings = is_directory ? settings_in(source) : settings_of(tokenizer);
  if (adds) {
    add_gist_token(settings, tokenizer, source,
                   is_directory ? read_tokenizer_settings(source) : TokenizerSettings());
  }
  write_settings(settings, target);
  const bool has_fast = is_directory && may_exist(source / fast_name);
  return has_fast ? std::vector<std::string>{fast_name} : std::vector<std::string>{};
}

}  // namespace gist
