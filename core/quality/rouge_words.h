// Texts as rouge_score 0.1.2 splits them into words (its DefaultTokenizer), each word a number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace gist {

/// A text's words in their order, line by line.
struct NumberedText {
  std::vector<std::uint32_t> words;
  std::vector<std::size_t> line_ends;  // of the lines that have words, as indices into words
};

/// Words are runs of ASCII letters and digits of the text in lower case. As in Python, that makes
/// two other characters letters: U+0130 becomes i and a combining dot, which separates, and the
/// Kelvin sign U+212A becomes k. Everything else separates: accented letters, and bytes that are no
/// UTF-8. With the stemmer, words of four characters and more become their stems
/// (core/quality/porter_stemmer.h).
class RougeWords {
 public:
  explicit RougeWords(bool use_stemmer) : use_stemmer_(use_stemmer), slots_(64) {}

  /// Forgets all words, so that numbers begin at 0 again.
  void clear();
  void read(std::string_view text, NumberedText& result);
  /// Returns how many different words were read since `clear`.
  std::size_t size() const { return words_.size(); }

 private:
  struct Word {
    std::size_t begin, length;  // in letters_
    std::size_t hash;
    std::size_t slot;
  };
  void end_word(NumberedText& result);
  std::uint32_t number_of(std::string_view word);
  void grow();

  bool use_stemmer_;
  std::string word_;     // the one that is being read
  std::string letters_;  // of all words, end to end
  std::vector<Word> words_;
  std::vector<std::uint32_t> slots_;  // a hash table with linear probing: 0, or a word's number + 1
};

}  // namespace gist
