#include "formats/model/added_tokens.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using nlohmann::json;

constexpr std::int32_t t5_extra_ids = 100;
constexpr std::int32_t max_extra_ids = 1 << 20;

/// The roles stand in the order in which transformers gives ids to tokens that no file lists.
constexpr std::array roles = {"bos_token", "eos_token", "unk_token", "sep_token",
                              "pad_token", "cls_token", "mask_token"};
/// Lists of tokens without a role of their own; the latter is what newer versions write.
constexpr std::array list_keys = {additional_tokens_key, "extra_special_tokens"};

/// A file of the directory, and what it holds: an empty object where there is no such file.
struct JsonFile {
  std::filesystem::path path;
  json content = json::object();
};

JsonFile opened(const std::filesystem::path& path) {
  return {path, may_exist(path) ? read_json_object(path) : json::object()};
}

/// Collects the listed tokens. Those that contradict earlier ones are refused, unless they decide.
class ListedTokens {
 public:
  /// `decides`: tokenizer.json does, because transformers reads it first. The other files often
  /// don't speak of normalization.
  void add(AddedToken token, const std::filesystem::path& source, bool decides = false) {
    const auto [found, is_new] = by_text_.try_emplace(token.text, token);
    AddedToken& known = found->second;
    if (known.id != token.id) {
      const std::string found =
          fmt::format("{}: token {} has id {}, but another file of the directory gives it {}",
                      source.string(), in_quotes(token.text), token.id, known.id);
      if (!decides) fail(ErrorKind::data, "{}", found);
      disagreements_.push_back(found + ": the former counts");
      known.id = token.id;
    }
    known.special = known.special || token.special;
    if (is_new) return;
    if (decides) known.normalized = token.normalized;
    known.lstrip = known.lstrip || token.lstrip;
    known.rstrip = known.rstrip || token.rstrip;
    known.single_word = known.single_word || token.single_word;
  }
  bool knows(const std::string& text) const { return by_text_.contains(text); }
  /// A line for each token that tokenizer.json has given another id.
  const std::vector<std::string>& disagreements() const { return disagreements_; }
  std::vector<AddedToken> in_order() const {
    std::vector<AddedToken> tokens;
    for (const auto& [text, token] : by_text_) tokens.push_back(token);
    std::stable_sort(tokens.begin(), tokens.end(),
                     [](const AddedToken& a, const AddedToken& b) { return a.id < b.id; });
    return tokens;
  }

 private:
  std::map<std::string, AddedToken> by_text_;
  std::vector<std::string> disagreements_;
};

/// Returns the flag of this name. A value that is neither true nor false, as null, counts as left
/// out.
std::optional<bool> stated(const json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end() || !found->is_boolean()) return std::nullopt;
  return found->get<bool>();
}

bool flag(const json& object, const char* name, bool otherwise = false) {
  return stated(object, name).value_or(otherwise);
}

/// {"content": "<x>", "special": true, ...}
AddedToken described(const json& token, std::uint64_t id, const std::string& place) {
  const auto text = token.is_object() ? token.find("content") : token.end();
  if (!token.is_object() || text == token.end() || !text->is_string()) {
    fail(ErrorKind::data, "{}: token {} should be an object with a text in \"content\"", place, id);
  }
  return {text->get<std::string>(),
          id,
          flag(token, "special"),
          flag(token, "lstrip"),
          flag(token, "rstrip"),
          flag(token, "single_word"),
          flag(token, "normalized", !flag(token, "special"))};
}

void list_plain(const JsonFile& file, ListedTokens& tokens) {
  for (const auto& [text, id] : file.content.items()) {
    if (!id.is_number_unsigned()) {
      fail(ErrorKind::data, "{}: the id of token {} should be a non-negative integer",
           file.path.string(), in_quotes(text));
    }
    AddedToken token;
    token.text = text;
    token.id = id.get<std::uint64_t>();
    token.normalized = true;
    tokens.add(std::move(token), file.path);
  }
}

void list_decoder(const JsonFile& config, ListedTokens& tokens) {
  const auto decoder = config.content.find(added_tokens_decoder_key);
  if (decoder == config.content.end() || decoder->is_null()) return;
  const std::string place =
      config.path.string() + ": \"" + std::string(added_tokens_decoder_key) + "\"";
  if (!decoder->is_object()) {
    fail(ErrorKind::data, "{} should be an object, not {}", place, decoder->type_name());
  }
  for (const auto& [key, token] : decoder->items()) {
    std::uint64_t id = 0;
    const auto [stop, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc() || stop != key.data() + key.size()) {
      fail(ErrorKind::data, "{}: expected an id as key, found {}", place, in_quotes(key));
    }
    tokens.add(described(token, id, place), config.path);
  }
}

/// Whether it has a token that no other file lists.
bool list_fast(const json& fast, const std::filesystem::path& path, ListedTokens& tokens) {
  const auto list = fast.find("added_tokens");
  if (list == fast.end() || list->is_null()) return false;
  const std::string place = path.string() + ": \"added_tokens\"";
  if (!list->is_array()) fail(ErrorKind::data, "{} should be an array", place);
  bool any_new = false;
  std::map<std::string, std::uint64_t> ids;
  for (const json& token : *list) {
    const json id = token.is_object() ? token.value("id", json()) : json();
    if (!id.is_number_unsigned()) {
      fail(ErrorKind::data, "{}: each should be an object with an \"id\", found {}", place,
           in_quotes(token.dump()));
    }
    AddedToken each = described(token, id.get<std::uint64_t>(), place);
    if (const std::uint64_t first = ids.emplace(each.text, each.id).first->second;
        first != each.id) {
      fail(ErrorKind::data, "{}: token {} has two ids, {} and {}", place, in_quotes(each.text),
           first, each.id);
    }
    any_new = any_new || !tokens.knows(each.text);
    tokens.add(std::move(each), path, true);
  }
  return any_new;
}

/// A token by its text, or as an object with "content"; nothing for null.
std::optional<std::string> text_of(const json& token, const std::string& place) {
  if (token.is_null()) return std::nullopt;
  const json text = token.is_object() ? token.value("content", json()) : token;
  if (!text.is_string()) {
    fail(ErrorKind::data, "{} should be a token, a text or an object with \"content\", found {}",
         place, in_quotes(token.dump()));
  }
  return text.get<std::string>();
}

/// The token of a role: tokenizer_config.json's, else special_tokens_map.json's.
std::optional<std::string> token_of_role(const char* role, const JsonFile& config,
                                         const JsonFile& special_map) {
  for (const JsonFile* file : {&config, &special_map}) {
    const auto found = file->content.find(role);
    if (found == file->content.end()) continue;
    const std::string place = file->path.string() + ": \"" + role + "\"";
    if (auto text = text_of(*found, place)) return text;
  }
  return std::nullopt;
}

void append_lists(const JsonFile& file, std::vector<std::string>& special) {
  for (const char* key : list_keys) {
    const auto list = file.content.find(key);
    if (list == file.content.end() || list->is_null()) continue;
    const std::string place = file.path.string() + ": \"" + key + "\"";
    if (!list->is_array() && !list->is_object()) {
      fail(ErrorKind::data, "{} should be an array, not {}", place, list->type_name());
    }
    for (const json& token : *list) {
      if (auto text = text_of(token, place)) special.push_back(std::move(*text));
    }
  }
}

/// Directories whose tokenizer_config.json doesn't name the tokenizer's class have that of
/// config.json's model_type.
bool is_t5(const JsonFile& config, const std::filesystem::path& directory) {
  const json class_name = config.content.value("tokenizer_class", json());
  if (class_name.is_string()) {
    return class_name == "T5Tokenizer" || class_name == "T5TokenizerFast" ||
           class_name == "MT5Tokenizer" || class_name == "MT5TokenizerFast";
  }
  const json model_type = opened(directory / "config.json").content.value("model_type", json());
  return model_type == "t5" || model_type == "mt5" || model_type == "umt5";
}

std::int32_t sentinels_in(const JsonFile& config, const std::filesystem::path& directory) {
  if (!is_t5(config, directory)) return 0;
  const auto found = config.content.find("extra_ids");
  if (found == config.content.end()) return t5_extra_ids;
  if (!found->is_number_unsigned() || found->get<std::uint64_t>() > max_extra_ids) {
    fail(ErrorKind::data, "{}: \"extra_ids\" should be a number from 0 to {}", config.path.string(),
         max_extra_ids);
  }
  return found->get<std::int32_t>();
}

/// What both files say, with the tokens that are listed anywhere.
TokenizerSettings settings_of_files(const JsonFile& config, const JsonFile& special_map,
                                    const ListedTokens& listed) {
  TokenizerSettings settings;
  settings.listed = listed.in_order();
  settings.warnings = listed.disagreements();
  settings.bos = token_of_role("bos_token", config, special_map);
  settings.eos = token_of_role("eos_token", config, special_map);
  settings.unk = token_of_role("unk_token", config, special_map);
  for (const char* role : roles) {
    if (auto text = token_of_role(role, config, special_map)) {
      settings.special.push_back(std::move(*text));
    }
  }
  append_lists(config, settings.special);
  append_lists(special_map, settings.special);
  for (AddedToken& token : settings.listed) {
    token.special = token.special || std::find(settings.special.begin(), settings.special.end(),
                                               token.text) != settings.special.end();
  }
  settings.adds_bos = stated(config.content, "add_bos_token");
  settings.adds_eos = stated(config.content, "add_eos_token");
  settings.space_before_text = stated(config.content, "add_prefix_space");
  settings.space_behind_words = flag(config.content, "legacy", true);
  return settings;
}

}  // namespace

TokenizerSettings settings_of_tokenizer_json(const json& fast, const std::filesystem::path& path) {
  ListedTokens listed;
  TokenizerSettings settings;
  settings.only_in_tokenizer_json = list_fast(fast, path, listed);
  settings.listed = listed.in_order();
  return settings;
}

TokenizerSettings read_tokenizer_settings(const std::filesystem::path& directory,
                                          const json* fast) {
  const JsonFile config = opened(directory / tokenizer_config_name);
  const JsonFile special_map = opened(directory / special_tokens_name);
  ListedTokens listed;
  list_plain(opened(directory / added_tokens_name), listed);
  list_decoder(config, listed);
  const std::filesystem::path fast_path = directory / fast_tokenizer_name;
  const json read_now = fast == nullptr ? opened(fast_path).content : json();
  const bool only_there = list_fast(fast == nullptr ? read_now : *fast, fast_path, listed);
  TokenizerSettings settings = settings_of_files(config, special_map, listed);
  settings.only_in_tokenizer_json = only_there;
  settings.sentinels = sentinels_in(config, directory);
  return settings;
}

TokenizerSettings settings_of_tokenizer_config(const json& config,
                                               const std::filesystem::path& path) {
  const JsonFile file{path, config};
  ListedTokens listed;
  list_decoder(file, listed);
  return settings_of_files(file, {}, listed);
}

}  // namespace gist
