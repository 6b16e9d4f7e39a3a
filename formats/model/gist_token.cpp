#include "formats/model/gist_token.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/gguf/gguf_tokenizer.h"
#include "formats/model/model_kind.h"
#include "formats/model/tokenizer.h"
#include "formats/tokenizer_json/tokenizer_json.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* config_name = tokenizer_config_name;
constexpr const char* fast_name = fast_tokenizer_name;
constexpr const char* list_key = additional_tokens_key;
constexpr const char* decoder_key = added_tokens_decoder_key;
constexpr const char* fast_list_key = "added_tokens";

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
  if (vocabulary.is_json()) {
    settings.config = {{"tokenizer_class", "PreTrainedTokenizerFast"}};
    return settings;
  }
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

/// The gist tokens that a tokenizer is to get.
std::vector<AddedToken> new_gist_tokens(const Tokenizer& tokenizer, std::int32_t count) {
  std::vector<AddedToken> tokens;
  if (count == 0) return tokens;
  const GistIds ids = gist_ids_in(tokenizer, count);
  const GistIds known = tokenizer.gist_ids();
  for (std::int32_t i = known.any() ? known.count : 0; i < ids.count; ++i) {
    AddedToken& token = tokens.emplace_back();
    token.text = Tokenizer::gist_token_text(i);
    token.id = static_cast<std::uint64_t>(ids.at(i));
    token.special = true;
  }
  return tokens;
}

Json special_object(const AddedToken& token) {
  return {{"content", token.text},
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
  return {{"content", token.text},
          {"lstrip", token.lstrip},
          {"normalized", token.normalized},
          {"rstrip", token.rstrip},
          {"single_word", token.single_word},
          {"special", token.special}};
}

/// {"32000": {"content": "<GIST>", ...}}: transformers takes this for all of the added tokens, so
/// those that other files list stand in it, too.
void add_to_decoder(Json& config, const Tokenizer& tokenizer, const std::vector<AddedToken>& listed,
                    const std::vector<AddedToken>& gist_tokens) {
  Json& decoder = config[decoder_key];
  for (const auto* tokens : {&listed, &tokenizer.added_tokens(), &gist_tokens}) {
    for (const AddedToken& token : *tokens) {
      const std::string key = std::to_string(token.id);
      if (!decoder.contains(key)) decoder[key] = described(token);
    }
  }
}

/// Into "added_tokens" of a tokenizer.json: what the other files list and it doesn't, then the gist
/// tokens. Whether all get the ids that they have elsewhere; transformers counts them itself.
bool add_to_fast(Json& fast, const Tokenizer& tokenizer,
                 const std::vector<AddedToken>& gist_tokens) {
  const auto append = [&fast](const AddedToken& token) {
    const std::optional<std::int64_t> next = next_added_id(fast);
    if (!next || static_cast<std::uint64_t>(*next) != token.id) return false;
    Json entry = {{"id", token.id}};
    entry.update(described(token));
    fast[fast_list_key].push_back(std::move(entry));
    return true;
  };
  const auto found = fast.find(fast_list_key);
  if (found == fast.end() || found->is_null()) fast[fast_list_key] = Json::array();
  if (!fast[fast_list_key].is_array()) return false;
  std::set<std::string> listed;
  for (const Json& token : fast[fast_list_key]) listed.insert(token.value("content", ""));
  for (const AddedToken& token : tokenizer.added_tokens()) {
    if (!listed.contains(token.text) && !append(token)) return false;
  }
  return std::all_of(gist_tokens.begin(), gist_tokens.end(), append);
}

/// Where tokenizer.json is left out, what it alone lists goes into the other files.
void add_gist_tokens(Settings& settings, const Tokenizer& tokenizer,
                     const std::vector<AddedToken>& gist_tokens,
                     const std::filesystem::path& source, const TokenizerSettings& read) {
  // A directory whose vocabulary is tokenizer.json has all of them there.
  if (!tokenizer.is_json() || !settings.added_tokens.empty()) {
    for (const AddedToken& token : tokenizer.added_tokens()) {
      settings.added_tokens.emplace(token.text, token.id);
    }
    for (const AddedToken& token : gist_tokens) settings.added_tokens[token.text] = token.id;
  }
  const bool as_objects = has_objects(settings.special_tokens);
  for (const AddedToken& token : gist_tokens) {
    add_to_list(settings.special_tokens, as_objects ? special_object(token) : Json(token.text),
                tokenizer, source / special_tokens_name);
    add_to_list(settings.config, token.text, tokenizer, source / config_name);
  }
  const auto decoder = settings.config.find(decoder_key);
  const bool has_decoder = decoder != settings.config.end() && !decoder->is_null();
  if (has_decoder || read.only_in_tokenizer_json) {
    add_to_decoder(settings.config, tokenizer, read.listed, gist_tokens);
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

/// The tokenizer.json with the gist tokens, or its name where it would contradict the other files.
std::vector<std::string> write_fast(const std::filesystem::path& source, const Tokenizer& tokenizer,
                                    const std::vector<AddedToken>& gist_tokens,
                                    const std::filesystem::path& target) {
  Json content = read_ordered_json_object(source);
  if (add_to_fast(content, tokenizer, gist_tokens)) {
    write_file_atomically(target / fast_name, content.dump(2) + "\n");
    return {};
  }
  if (tokenizer.is_json()) {
    fail(ErrorKind::internal, "{}: a gist token has no id {} there", source.string(),
         tokenizer.size());
  }
  return {fast_name};
}

/// As the files of a directory that has no gist token yet.
void write_gguf_tokenizer(const std::filesystem::path& gguf, const std::filesystem::path& target) {
  const GgufTokenizer made = gguf_tokenizer(read_gguf_file(gguf));
  const char* name = made.is_json() ? fast_name : "tokenizer.model";
  write_file_atomically(target / name, made.vocabulary);
  write_file_atomically(target / config_name, made.settings.dump(2) + "\n");
}

}  // namespace

GistIds gist_ids_in(const Tokenizer& tokenizer, std::int32_t count) {
  const GistIds known = tokenizer.gist_ids();
  if (!known.any()) return {tokenizer.size(), count};
  if (known.count < count && known.end() != tokenizer.size()) {
    fail(ErrorKind::data,
         "{}: a token has the id {} behind {}, where {} would stand, and the ids of gist tokens "
         "follow each other: start from the model as it was before it had gist tokens",
         tokenizer.path().string(), known.end(), Tokenizer::gist_token_text(known.count - 1),
         Tokenizer::gist_token_text(known.count));
  }
  return {known.first, count};
}

std::vector<std::string> write_tokenizer(const std::filesystem::path& source,
                                         const std::filesystem::path& target,
                                         std::int32_t gist_tokens) {
  if (const auto gguf = gguf_file_of(source)) {
    write_gguf_tokenizer(*gguf, target);
    return write_tokenizer(target, target, gist_tokens);
  }
  const Tokenizer tokenizer = Tokenizer::open(source);
  const bool is_directory = tokenizer.path() != source;
  const std::vector<AddedToken> added = new_gist_tokens(tokenizer, gist_tokens);
  const bool adds = !added.empty();
  if (!tokenizer.is_json()) {
    const char* bare_name = is_llamas(tokenizer) ? "tokenizer.model" : "spiece.model";
    copy_durably(tokenizer.path(),
                 target / (is_directory ? tokenizer.path().filename() : bare_name));
  }
  if (is_directory && !adds) {
    for (const char* name : {added_tokens_name, special_tokens_name, config_name, fast_name}) {
      if (may_exist(source / name)) copy_durably(source / name, target / name);
    }
    return {};
  }
  Settings settings = is_directory ? settings_in(source) : settings_of(tokenizer);
  if (adds) {
    add_gist_tokens(settings, tokenizer, added, source,
                    is_directory ? read_tokenizer_settings(source) : TokenizerSettings());
  }
  write_settings(settings, target);
  const std::filesystem::path fast = is_directory ? source / fast_name : source;
  if (!tokenizer.is_json() && !(is_directory && may_exist(fast))) return {};
  if (!adds) {
    copy_durably(fast, target / fast_name);
    return {};
  }
  return write_fast(fast, tokenizer, added, target);
}

}  // namespace gist
