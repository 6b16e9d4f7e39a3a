// Text to token ids and back. The vocabulary file decides the kind: tokenizer.model and
// spiece.model are SentencePiece models (sentencepiece_vocabulary.h), tokenizer.json is Hugging
// Face's (json_vocabulary.h). Where a directory has both, SentencePiece's is read. A GGUF file
// holds what either is made of (formats/gguf/gguf_tokenizer.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/gist_ids.h"
#include "formats/model/added_tokens.h"

namespace gist {

struct TokenizerReading {
  /// Without it a process of its own reads the vocabulary first (formats/files/file_check.h), once
  /// for each: SentencePiece and Oniguruma can't be trusted with a damaged one.
  bool trusted = false;
};

class Tokenizer {
 public:
  /// `path`: a GGUF file, or a directory that stands for one (model_kind.h); a vocabulary file,
  /// whose added tokens are its own (SentencePiece's has none); or a directory, of which vocabulary
  /// and added tokens are read (formats/model/added_tokens.h). Tokens that have a role but no id
  /// get the next ones, as in transformers. Throws Error(no_input) where there is no vocabulary,
  /// Error(data) where a file is not what it should be or asks for what gist lacks, the added
  /// tokens contradict the vocabulary, or "add_prefix_space" is false for a SentencePiece
  /// vocabulary that takes white space off texts, or isn't what tokenizer.json says.
  static Tokenizer open(const std::filesystem::path& path, const TokenizerReading& reading = {});

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  /// Plain encoding: no bos, no eos; special tokens in the text are text, other added tokens are
  /// found in it. Where a SentencePiece vocabulary puts a space before texts, it stands before this
  /// one and what is behind added tokens; before nothing where the directory's "add_prefix_space"
  /// is false, and not behind added tokens where its "legacy" is; a tokenizer.json says itself
  /// where spaces go. Throws Error(data) for invalid UTF-8, and for a text that a tokenizer.json
  /// can't spell, without an unknown token. May be called by several threads at once.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// Special tokens (the gist, sentinels, those with a role) and control pieces decode to nothing;
  /// so do ids beyond the tokenizer, which a model whose table has spare rows may choose. Other
  /// added tokens decode to their text; of a SentencePiece vocabulary a space stands between it and
  /// what is beside it. As transformers decodes with skip_special_tokens.
  std::string decode(std::span<const std::int32_t> ids) const;
  /// How many of the ids decode to what they will with others behind them, but for the beginning of
  /// a character at their end (U+FFFD).
  std::size_t settled(std::span<const std::int32_t> ids) const;

  std::optional<std::int32_t> id_of_piece(std::string_view piece) const;
  /// A piece of the vocabulary file: 0 <= id < pieces().
  const std::string& piece_of_id(std::int32_t id) const;
  // Those that the directory names, else the vocabulary's; bos and eos of a tokenizer.json are what
  // its post-processor puts around a text.
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> unk() const;
  /// Whether a text by itself begins with bos: there is one, and "add_bos_token" says so, or else
  /// the vocabulary: SentencePiece's always, a tokenizer.json by its post-processor.
  bool adds_bos() const;
  /// Whether transformers ends each text by eos: "add_eos_token" is true, or a tokenizer.json's
  /// post-processor does. For prompts that is no use.
  bool adds_eos() const;
  /// How many pieces the vocabulary file has.
  std::int32_t pieces() const;
  /// Added tokens included: the id that the next added token would get.
  std::int32_t size() const;
  /// Those behind the vocabulary's pieces in the order of their ids, without T5's sentinels.
  const std::vector<AddedToken>& added_tokens() const;
  /// The gist token ("<GIST>"), where the directory has one.
  std::optional<std::int32_t> gist_token() const;
  static constexpr std::string_view gist_token_name = "<GIST>";
  /// The gist tokens that the directory has: the gist token, and as many of <GIST1>, <GIST2>, ...
  /// as follow it in the order of their ids. A model may use the first alone: gist.json says it.
  GistIds gist_ids() const;
  /// "<GIST>", "<GIST1>", "<GIST2>", ...
  static std::string gist_token_text(std::int32_t i);

  /// Whether the vocabulary is a tokenizer.json.
  bool is_json() const;
  /// The SHA-256 of the vocabulary file's bytes, in lower-case hex; of those that a GGUF file's
  /// tokenizer has as such a file.
  const std::string& sha256() const;
  const std::filesystem::path& path() const;  // the vocabulary file
  /// What the user should know of the directory's files, a line each.
  const std::vector<std::string>& warnings() const;

 private:
  struct Impl;
  explicit Tokenizer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist
