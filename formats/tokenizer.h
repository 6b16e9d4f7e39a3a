// Text to token ids and back. The vocabulary file decides the kind: tokenizer.model and
// spiece.model are SentencePiece models.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

class Tokenizer {
 public:
  /// `path`: a vocabulary file, which has no added tokens; or a directory, of which vocabulary and
  /// added tokens are read (added_tokens.json, tokenizer_config.json's extra_ids for T5's
  /// sentinels). Throws Error(no_input) where there is no vocabulary, Error(data) where a file is
  /// not what it should be or the added tokens contradict the vocabulary.
  static Tokenizer open(const std::filesystem::path& path);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Plain encoding: no bos, no eos; special tokens in the text are text. Throws Error(data) for
  /// invalid UTF-8.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// Added tokens (the gist, sentinels) and control tokens decode to nothing; so do ids beyond the
  /// tokenizer, which a model whose table has spare rows may choose.
  std::string decode(std::span<const std::int32_t> ids) const;

  std::optional<std::int32_t> id_of_piece(std::string_view piece) const;
  /// Of the vocabulary file: 0 <= id < its number of pieces.
  const std::string& piece_of_id(std::int32_t id) const;
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> unk() const;
  /// Added tokens included: the id that the next added token would get.
  std::int32_t size() const;
  /// The gist token ("<GIST>"), where the directory has one.
  std::optional<std::int32_t> gist_token() const;
  static constexpr std::string_view gist_token_name = "<GIST>";

  /// Of the vocabulary file's bytes, lower-case hex.
  const std::string& sha256() const;
  const std::filesystem::path& path() const;  // the vocabulary file

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist
