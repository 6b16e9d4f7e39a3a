// Added tokens that are words of a text: where they stand in it.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "formats/model/added_tokens.h"

namespace gist {

/// A word, or the text between two words.
struct TextPart {
  std::string_view text;
  const AddedToken* word = nullptr;
};

/// The text cut at the tokens that aren't special: the longest at the leftmost place first, the
/// white space beside it that belongs to it left out (lstrip, rstrip), and none inside of a word
/// where it asks for a word of its own (single_word). As the tokenizers of transformers cut. Parts
/// point into the text and the tokens; none is empty, unless the text is.
std::vector<TextPart> split_at_words(std::string_view text, std::span<const AddedToken> tokens);

}  // namespace gist
