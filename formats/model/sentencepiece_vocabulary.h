// A vocabulary in SentencePiece's format (tokenizer.model, spiece.model), as the classes of
// transformers that are made for it use it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model/added_tokens.h"

namespace gist {

class SentencePieceVocabulary {
 public:
  /// `bytes` are the file's; `path` is for messages. Throws Error(data) where they are no such model.
  SentencePieceVocabulary(const std::string& bytes, const std::filesystem::path& path);
  SentencePieceVocabulary(SentencePieceVocabulary&&) noexcept;
  SentencePieceVocabulary& operator=(SentencePieceVocabulary&&) noexcept;
  ~SentencePieceVocabulary();

  std::int32_t pieces() const;
  const std::string& piece(std::int32_t id) const;
  std::optional<std::int32_t> find(std::string_view piece) const;
  std::optional<std::int32_t> bos() const;
  std::optional<std::int32_t> eos() const;
  std::optional<std::int32_t> unk() const;
  bool adds_bos() const { return true; }
  bool adds_eos() const { return false; }

  /// What the directory says more: `added` are the tokens behind the pieces in the order of their
  /// ids, `special` the ids that decode to nothing. Throws Error(data) where "add_prefix_space" is
  /// false for a vocabulary that takes white space off texts.
  void apply(const TokenizerSettings& settings, const std::vector<AddedToken>& added,
             const std::set<std::int32_t>& special, const std::filesystem::path& directory);

  // As Tokenizer's; ids aren't negative.
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::string decode(std::span<const std::int32_t> ids) const;
  std::size_t settled(std::span<const std::int32_t> ids) const { return ids.size(); }

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gist
