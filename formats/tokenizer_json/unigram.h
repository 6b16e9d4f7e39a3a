// The unigram language model (Kudo, 2018): of all ways to spell a word by pieces, the one with the
// highest sum of scores; of equal ones the one that PyPI's tokenizers finds first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer_json/byte_trie.h"
#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/piece_table.h"

namespace gist {

class UnigramModel {
 public:
  /// `part` is the "model" of a tokenizer.json. Throws Error(data) for what gist doesn't know, and
  /// a piece that is listed twice.
  explicit UnigramModel(const JsonPart& part);

  const std::vector<std::string>& pieces() const { return table_.pieces(); }
  std::optional<std::int32_t> find(std::string_view piece) const { return table_.find(piece); }
  std::optional<std::int32_t> unk() const { return unk_; }

  /// These pieces are never the result of text, unless they are one character. To be called before
  /// `encode`.
  void exclude(const std::vector<bool>& ids);

  /// All of it: scores are summed over the whole word.
  std::size_t part_bytes(std::string_view word) const { return word.size(); }

  /// Appends the ids of a word. Throws Error(data) where it has a character that the vocabulary
  /// can't spell, and no token for that. May be called by several threads at once.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  bool may_be_text(std::int32_t id) const;
  void append(std::string_view piece, std::vector<std::int32_t>& ids) const;

  std::string place_;
  PieceTable table_;
  std::vector<double> scores_;
  ByteTrie trie_;  // of what text may become; `exclude` makes it
  double unk_score_ = 0;
  std::optional<std::int32_t> unk_;
  bool byte_fallback_ = false;
};

}  // namespace gist
