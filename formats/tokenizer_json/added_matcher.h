// Where added tokens stand in a text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formats/model/added_tokens.h"
#include "formats/tokenizer_json/byte_trie.h"
#include "formats/tokenizer_json/text_pattern.h"

namespace gist {

/// A part of a text: an added token, the white space beside it included that belongs to it, or what
/// stands between two.
struct AddedPart {
  Span span;
  const AddedToken* token = nullptr;
};

class AddedMatcher {
 public:
  struct Pattern {
    std::string text;
    AddedToken token;
  };
  /// Of equal texts the first counts; empty ones are never found.
  explicit AddedMatcher(std::vector<Pattern> patterns = {});

  /// The leftmost, longest matches, in parts that cover the text but for what two of them share.
  /// Special tokens aren't found: their text stays text, which ends where it ends.
  std::vector<AddedPart> parts(std::string_view text) const;

 private:
  std::vector<Pattern> patterns_;
  ByteTrie trie_;
};

}  // namespace gist
