// What a Split or a Replace looks for: a text, or a regular expression of Oniguruma, the library
// that PyPI's tokenizers uses.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "formats/tokenizer_json/json_part.h"

namespace gist {

/// Bytes [begin, end) of a text.
struct Span {
  std::size_t begin = 0, end = 0;
};

class TextPattern {
 public:
  /// `pattern` is {"String": "..."} or {"Regex": "..."}. Throws Error(data) for what is neither, an
  /// empty one, and one that Oniguruma doesn't understand.
  explicit TextPattern(const JsonPart& pattern);
  /// A regular expression that is gist's own.
  explicit TextPattern(std::string_view regex);

  /// Appends the places of what matches, leftmost first, none overlapping another. May be called by
  /// several threads at once. Throws Error(data) where a regular expression takes too many steps.
  void find_all(std::string_view text, std::vector<Span>& matches) const;

 private:
  struct Regex;
  void find_regex(std::string_view text, std::vector<Span>& matches) const;

  std::string place_;  // for messages
  std::string text_;   // where there is no regex_
  std::shared_ptr<const Regex> regex_;
};

}  // namespace gist
