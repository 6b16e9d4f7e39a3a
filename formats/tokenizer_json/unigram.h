// The unigram language model (Kudo, 2018): of all ways to spell a word by pieces, the one with the
// highest sum of scores; of equal ones the one that PyPI's tokenizers finds first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/tokenizer_json/byte_trie.h"
#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/word_cache.h"

namespace gist {

class UnigramModel {
 public:
  /// `part` is the "model" of a tokenizer.json. Throws Error(data) for what gist doesn't know, and
  /// a piece that is listed twice.
  explicit UnigramModel(const JsonPart& part);

  const std::vector<std::string>& pieces() const { return pieces_; }
  std::optional<std::int32_t> find(std::string_view piece) const;
  std::optional<std::int32_t> unk() const { return unk_; }

  /// These pieces are never the result of text, unless they are one character.
  void exclude(const std::vector<bool>& ids);

  /// All of it: scores are summed over the whole word.
  std::size_t part_bytes(std::string_view word) const { return word.size(); }

  /// Appends the ids of a word. Throws Error(data) where it has a character that the vocabulary
  /// can't spell, and no token for that. May be called by several threads at once.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  void build_trie(const std::vector<bool>& excluded);
  void append(std::string_view piece, std::vector<std::int32_t>& ids) const;

  std::string place_;
  std::vector<std::string> pieces_;
  std::vector<double> scores_;
  std::unordered_map<std::string, std::int32_t, TextHash, std::equal_to<>> ids_;
  ByteTrie trie_;                    // of what text may become
  std::vector<std::int32_t> bytes_;  // ids of <0x00> ...; -1 where there is none
  std::vector<bool> excluded_;       // empty, or by id
  double unk_score_ = 0;
  std::optional<std::int32_t> unk_;
  bool byte_fallback_ = false;
};

}  // namespace gist
