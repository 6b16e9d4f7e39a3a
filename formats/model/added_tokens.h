// The tokens that a Hugging Face directory adds to its vocabulary file, and the roles that it gives
// to tokens. They stand in added_tokens.json, in tokenizer_config.json ("added_tokens_decoder", and
// by role: "eos_token", "additional_special_tokens", ...), in special_tokens_map.json and in
// tokenizer.json; directories have some of these or all. What stands in several should agree; where
// it doesn't, tokenizer.json counts.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

namespace gist {

struct AddedToken {
  std::string text;
  std::uint64_t id = 0;
  bool special = false;      // marks something; decodes to nothing and is not looked for in texts
  bool lstrip = false;       // white space before it belongs to it
  bool rstrip = false;       // white space after it
  bool single_word = false;  // it isn't found inside of words
  bool normalized = false;   // it is looked for in normalized text (tokenizer.json)
};

/// TokenizerSettings are what the directory says of its tokenizer beside the vocabulary.
struct TokenizerSettings {
  std::vector<AddedToken> listed;  // with their ids, in the order of these
  /// Texts of tokens that have a role, as transformers counts them.
  std::vector<std::string> special;
  std::optional<std::string> bos, eos, unk;  // texts
  // Where the directory doesn't say, the vocabulary does.
  std::optional<bool> adds_bos;           // to each text that is encoded
  std::optional<bool> adds_eos;           // behind each text that is encoded
  std::optional<bool> space_before_text;  // "add_prefix_space"
  bool space_behind_words = true;         // "legacy": before the text behind an added token, too
  bool only_in_tokenizer_json = false;    // some listed token stands nowhere else
  std::vector<std::string> warnings;  // where tokenizer.json and another file disagree, a line each
  /// The number of T5's <extra_id_0> ..., which its class adds though no file lists them.
  std::int32_t sentinels = 0;
};

constexpr const char* added_tokens_name = "added_tokens.json";
constexpr const char* special_tokens_name = "special_tokens_map.json";
constexpr const char* tokenizer_config_name = "tokenizer_config.json";
constexpr const char* fast_tokenizer_name = "tokenizer.json";
constexpr const char* added_tokens_decoder_key = "added_tokens_decoder";
constexpr const char* additional_tokens_key = "additional_special_tokens";

/// Throws Error(data), naming the file, for what is none of this, and where two files other than
/// tokenizer.json contradict each other. `fast` is the content of the directory's tokenizer.json
/// where that was read before.
TokenizerSettings read_tokenizer_settings(const std::filesystem::path& directory,
                                          const nlohmann::json* fast = nullptr);
/// What a tokenizer_config.json by itself says. `path` is for messages.
TokenizerSettings settings_of_tokenizer_config(const nlohmann::json& config,
                                               const std::filesystem::path& path);
/// What a tokenizer.json by itself says: its added tokens.
TokenizerSettings settings_of_tokenizer_json(const nlohmann::json& fast,
                                             const std::filesystem::path& path);

}  // namespace gist
