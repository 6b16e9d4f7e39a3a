#include "core/quality/rouge_words.h"

#include <array>
#include <functional>

#include "core/quality/porter_stemmer.h"

namespace gist {
namespace {

/// The lower case of ASCII letters and digits by their byte; 0 for all others.
constexpr std::array<char, 256> word_letters = [] {
  std::array<char, 256> letters{};
  for (std::size_t c = '0'; c <= '9'; ++c) letters[c] = static_cast<char>(c);
  for (std::size_t c = 'a'; c <= 'z'; ++c) letters[c] = static_cast<char>(c);
  for (std::size_t c = 'A'; c <= 'Z'; ++c) letters[c] = static_cast<char>(c - 'A' + 'a');
  return letters;
}();

// Their first bytes occur inside no other character, so that they are found in any surroundings.
constexpr std::string_view dotted_capital_i_bytes = "\xC4\xB0";
constexpr std::string_view kelvin_sign = "\xE2\x84\xAA";

constexpr std::size_t unstemmed = 3;  // characters, at most

void end_line(NumberedText& text) {
  const std::size_t line_begin = text.line_ends.empty() ? 0 : text.line_ends.back();
  if (text.words.size() > line_begin) text.line_ends.push_back(text.words.size());
}

}  // namespace

void RougeWords::clear() {
  for (const Word& word : words_) slots_[word.slot] = 0;
  words_.clear();
  letters_.clear();
}

void RougeWords::read(std::string_view text, NumberedText& result) {
  result.words.clear();
  result.line_ends.clear();
  word_.clear();
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (const char letter = word_letters[static_cast<unsigned char>(text[i])]; letter != 0) {
      word_.push_back(letter);
    } else if (text[i] == kelvin_sign[0] && text.substr(i).starts_with(kelvin_sign)) {
      word_.push_back('k');
      i += kelvin_sign.size() - 1;
    } else {
      const bool dotted_i = text[i] == dotted_capital_i_bytes[0] &&
                            text.substr(i).starts_with(dotted_capital_i_bytes);
      if (dotted_i) word_.push_back('i');
      end_word(result);
      if (text[i] == '\n') end_line(result);
    }
  }
  end_word(result);
  end_line(result);
}

void RougeWords::end_word(NumberedText& result) {
  if (word_.empty()) return;
  if (use_stemmer_ && word_.size() > unstemmed) word_.resize(porter_stem(word_));
  result.words.push_back(number_of(word_));
  word_.clear();
}

std::uint32_t RougeWords::number_of(std::string_view word) {
  const std::size_t hash = std::hash<std::string_view>{}(word);
  const std::size_t last = slots_.size() - 1;
  std::size_t slot = hash & last;
  for (; slots_[slot] != 0; slot = (slot + 1) & last) {
    const std::uint32_t number = slots_[slot] - 1;
    const Word& known = words_[number];
    if (known.hash == hash &&
        word == std::string_view(letters_).substr(known.begin, known.length)) {
      return number;
    }
  }
  words_.push_back({letters_.size(), word.size(), hash, slot});
  letters_ += word;
  slots_[slot] = static_cast<std::uint32_t>(words_.size());
  if (2 * words_.size() > slots_.size()) grow();
  return static_cast<std::uint32_t>(words_.size() - 1);
}

void RougeWords::grow() {
  slots_.assign(2 * slots_.size(), 0);
  for (std::size_t number = 0; number < words_.size(); ++number) {
    std::size_t slot = words_[number].hash & (slots_.size() - 1);
    while (slots_[slot] != 0) slot = (slot + 1) & (slots_.size() - 1);
    slots_[slot] = static_cast<std::uint32_t>(number + 1);
    words_[number].slot = slot;
  }
}

}  // namespace gist
