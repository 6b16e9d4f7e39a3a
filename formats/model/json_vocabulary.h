// A vocabulary in Hugging Face's format (tokenizer.json), as transformers' fast tokenizers use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model/added_tokens.h"
#include "formats/tokenizer_json/tokenizer_json.h"

namespace gist {

class JsonVocabulary {
 public:
  /// `path` is for messages. Throws Error(data) as TokenizerJson does, and where the file puts more
  /// around a text than one token before and one behind it.
  JsonVocabulary(const nlohmann::json& content, const std::filesystem::path& path);

  std::int32_t pieces() const;
  const std::string& piece(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view piece) const;
  // Those that the file puts around a text.
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> unk() const;
  bool adds_bos() const { return bos().has_value(); }
  bool adds_eos() const { return eos().has_value(); }

  /// What the directory says more: `added` are all added tokens, `special` the ids that decode to
  /// nothing. Throws Error(data) where "add_prefix_space" contradicts the file.
  void apply(const TokenizerSettings& settings, const std::vector<AddedToken>& added,
             const std::set<std::int32_t>& special, const std::filesystem::path& directory);

  // As Tokenizer's.
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> ids) const;
  std::size_t settled(std::span<const std::int32_t> ids) const { return tokenizer_.settled(ids); }

 private:
  TokenizerJson tokenizer_;
};

}  // namespace gist
