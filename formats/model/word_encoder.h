// Token ids of a text, word by word. SentencePiece's BPE takes a text as one: a heap of all pairs
// of neighbours, hundreds of bytes of memory a byte of text. But a merge never goes beyond a piece
// of the vocabulary, so a text may be cut between two characters that no piece has side by side:
// the parts' ids, put one behind the other, are the whole's. Words come again, so their ids are
// kept.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "formats/files/text.h"

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace gist {

/// TextCuts says where texts may be cut for a vocabulary.
struct TextCuts {
  bool at_spaces = false;  // before a run of spaces behind something else
  bool at_line_ends = false;
  bool space_before_text = true;  // SentencePiece puts a space before what it encodes
};

/// Returns where a SentencePiece model, serialized, allows cuts. Only BPE without a normalisation
/// of its own is ever cut: Unigram adds up scores from the text's beginning, whose rounding decides
/// between equals.
TextCuts text_cuts(std::string_view model);

/// The same model, but for the space that SentencePiece puts before each text: what transformers
/// makes of it for "add_prefix_space": false. Nothing where it takes white space off a text's ends,
/// which would then lose the space with which a text begins.
std::optional<std::string> without_space_before_text(std::string_view model);

class WordEncoder {
 public:
  /// Longer texts are not encoded in one piece: of BPE those without a place to cut, of Unigram
  /// all.
  static constexpr std::size_t longest_part = std::size_t{1} << 20;  // bytes

  /// `processor` has loaded `model`, and must outlive the encoder.
  WordEncoder(const sentencepiece::SentencePieceProcessor& processor, std::string_view model);

  /// Returns what SentencePiece gives for the whole text (well-formed UTF-8). May be called by
  /// several threads at once. Throws Error(data) where a part is longer than longest_part.
  std::vector<std::int32_t> encode(std::string_view text) const;

 private:
  using Words = std::unordered_map<std::string, std::vector<int>, TextHash, std::equal_to<>>;

  std::size_t end_of_part(std::string_view text, std::size_t begin) const;
  std::vector<int> encode_part(std::string_view part) const;
  void append_word(std::string_view word, Words& known, std::vector<std::int32_t>& ids) const;
  std::unique_ptr<Words> borrow() const;
  void give_back(std::unique_ptr<Words> words) const;

  const sentencepiece::SentencePieceProcessor* processor_;
  TextCuts cuts_;
  std::int32_t space_ = -1;  // the id of a lone space
  // The dictionaries hold what encode_part gave. Each call borrows one of the dictionaries, so that
  // threads don't wait for each other: there are as many as calls have run at once.
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Words>> idle_;
};

}  // namespace gist
