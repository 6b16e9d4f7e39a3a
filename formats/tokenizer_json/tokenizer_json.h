// Hugging Face's tokenizer.json: a text's token ids, and back, as PyPI's tokenizers gives them
// (0.22; without special tokens around the text, and with `encode_special_tokens`, which leaves the
// text of special tokens text).
//
// In order: added tokens are found in the text; what stands between them is normalized
// (normalizer.h), and searched for those that are looked for in normalized text; the rest is cut
// into words (pre_tokenizer.h), which the model (bpe.h, unigram.h) makes tokens of.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model/added_tokens.h"
#include "formats/tokenizer_json/post_processor.h"

namespace gist {

class TokenizerJson {
 public:
  /// `where` names the file. Throws Error(data), naming the place in the file, for what isn't a
  /// tokenizer and for what gist lacks: it never gives other ids than asked for.
  TokenizerJson(const nlohmann::json& content, const std::string& where);
  TokenizerJson(TokenizerJson&&) noexcept;
  TokenizerJson& operator=(TokenizerJson&&) noexcept;
  ~TokenizerJson();

  /// The model's vocabulary, by id.
  const std::vector<std::string>& pieces() const;
  std::optional<std::int32_t> find(std::string_view piece) const;  // in it
  std::optional<std::int32_t> unk() const;                         // the model's
  const SurroundingTokens& surrounding() const;
  /// "add_prefix_space" of a pre-tokenizer that is ByteLevel and nothing else.
  std::optional<bool> byte_level_space() const;

  /// All added tokens, with their ids; before this there are none. Special ones decode to nothing,
  /// and text never becomes one of them, whatever the model says; a piece of one character excepted.
  void set_added(const std::vector<AddedToken>& tokens);

  /// Of well-formed UTF-8. May be called by several threads at once. Throws Error(data) where the
  /// vocabulary can't spell the text and has no token for that.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// Ids beyond the vocabulary and the added tokens decode to nothing, as negative ones do.
  std::string decode(std::span<const std::int32_t> ids) const;
  /// How many of the ids decode to what they will with others behind them, but for the beginning of
  /// a character: bytes in a row (<0xE2>) become text together, or none of them does.
  std::size_t settled(std::span<const std::int32_t> ids) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The id that transformers gives a token that is added to this tokenizer.json next, whatever else
/// the file says; nothing where it has no vocabulary.
std::optional<std::int64_t> next_added_id(const nlohmann::ordered_json& content);

}  // namespace gist
