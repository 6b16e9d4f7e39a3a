// Byte-pair encoding (Sennrich et al., 2016): the neighbours whose merge has the lowest rank are
// merged first, the leftmost of equal ones.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/tokenizer_json/json_part.h"
#include "formats/tokenizer_json/piece_table.h"

namespace gist {

class BpeModel {
 public:
  /// `part` is the "model" of a tokenizer.json. Throws Error(data) for what gist doesn't know, ids
  /// that aren't 0 .. n - 1, and merges of what isn't in the vocabulary.
  explicit BpeModel(const JsonPart& part);

  const std::vector<std::string>& pieces() const { return table_.pieces(); }
  std::optional<std::int32_t> find(std::string_view piece) const { return table_.find(piece); }
  std::optional<std::int32_t> unk() const { return unk_; }

  /// These pieces are never the result of text, unless they are one character.
  void exclude(const std::vector<bool>& ids);

  /// Bytes of the first part of a word, which isn't empty, where no merge goes beyond: the ids of its
  /// parts are the word's. Vocabularies like LLaMA's leave texts uncut, but have no piece that goes on
  /// behind a word into the space before the next.
  std::size_t part_bytes(std::string_view word) const;

  /// Appends the ids of a word. Throws Error(data) where it has a character that the vocabulary
  /// can't spell, and no token for that. May be called by several threads at once.
  void encode(std::string_view word, std::vector<std::int32_t>& ids) const;

 private:
  struct Merge {
    std::int32_t rank;
    std::int32_t id;
  };
  struct Symbol {
    std::int32_t id;
    std::int32_t previous, next;  // -1 at the ends
    bool alive;
  };

  void read_vocabulary(const JsonPart& vocab);
  void read_merges(const JsonPart& merges);
  bool pieces_end_before_spaces() const;
  std::optional<std::int32_t> from_text(std::string_view piece) const;
  std::vector<Symbol> symbols_of(std::string_view word) const;
  const Merge* merge_of(std::int32_t left, std::int32_t right) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  std::string place_;
  PieceTable table_;
  std::unordered_map<std::uint64_t, Merge> merges_;  // by both ids
  std::string prefix_, suffix_;  // of what doesn't begin a word, of what ends one
  std::string unk_name_;
  std::optional<std::int32_t> unk_;
  bool fuse_unk_ = false, byte_fallback_ = false, ignore_merges_ = false;
  bool cuts_at_spaces_ = false;
};

}  // namespace gist
