#include "core/quality/copy_accuracy.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/quality/unicode.h"

namespace gist {
namespace {

constexpr char32_t apostrophe = 0x2019;  // the typographic one

struct KindedWord {
  std::u32string_view text;
  bool starts_sentence;
};

using Words = std::vector<KindedWord>;

bool is_apostrophe(char32_t c) {
  return c == '\'' || c == apostrophe;
}

bool is_combining(char32_t c) {
  return c >= 0x300 && c <= 0x36F;
}

bool belongs_to_word(char32_t c) {
  return is_word(c) || is_combining(c);
}

/// Whether the mark at i, between two characters of words, joins them.
bool joins(std::u32string_view text, std::size_t i) {
  if (i + 1 >= text.size() || !is_word(text[i + 1])) return false;
  const char32_t c = text[i];
  if (is_apostrophe(c) || c == '.' || c == '-' || c == '_') return true;
  return (c == ',' || c == ':' || c == '/') && is_digit(text[i - 1]) && is_digit(text[i + 1]);
}

/// The end of the word that begins at `begin`.
std::size_t word_end(std::u32string_view text, std::size_t begin) {
  std::size_t end = begin + 1;
  while (end < text.size() && (belongs_to_word(text[end]) || joins(text, end))) ++end;
  return end;
}

bool is_signed(std::u32string_view text, std::size_t begin) {
  return begin > 0 && text[begin - 1] == '-' && is_digit(text[begin]) &&
         (begin == 1 || !belongs_to_word(text[begin - 2]));
}

std::u32string_view without_possessive(std::u32string_view word) {
  const std::size_t n = word.size();
  return n > 2 && word[n - 1] == 's' && is_apostrophe(word[n - 2]) ? word.substr(0, n - 2) : word;
}

/// Whether a full stop after this word is more likely its own than a sentence's.
bool is_abbreviation(std::u32string_view word) {
  static constexpr std::u32string_view titles[] = {U"Mr",   U"Mrs", U"Ms", U"Dr",
                                                   U"Prof", U"St",  U"Jr", U"Sr"};
  return (word.size() == 1 && is_upper(word[0])) || word.find(U'.') != word.npos ||
         std::find(std::begin(titles), std::end(titles), word) != std::end(titles);
}

/// Whether what stands between a word and the next ends a sentence or begins one.
bool breaks_sentence(std::u32string_view before, std::u32string_view between) {
  constexpr std::u32string_view breaks = U"!?:\n\r\"\u2026\u201C\u2018\u00AB\u3002\uFF01\uFF1F";
  if (between.find_first_of(breaks) != between.npos) return true;
  return between.find(U'.') != between.npos && !is_abbreviation(before);
}

Words words_of(std::u32string_view text) {
  Words words;
  std::size_t last_end = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (!is_word(text[i])) {
      ++i;
      continue;
    }
    const std::size_t end = word_end(text, i);
    const std::size_t begin = is_signed(text, i) ? i - 1 : i;
    const bool first = words.empty() ||
                       breaks_sentence(words.back().text, text.substr(last_end, begin - last_end));
    words.push_back({without_possessive(text.substr(begin, end - begin)), first});
    last_end = i = end;
  }
  return words;
}

bool is_number(std::u32string_view word) {
  return std::any_of(word.begin(), word.end(), is_digit);
}

bool is_capitalised(std::u32string_view word) {
  const bool is_i = word[0] == 'I' && (word.size() == 1 || is_apostrophe(word[1]));
  return is_upper(word[0]) && !is_i && !is_number(word);
}

bool has_second_capital(std::u32string_view word) {
  return std::any_of(word.begin() + 1, word.end(), is_upper);
}

/// The capitalised words that are names wherever they stand.
std::unordered_set<std::u32string_view> names_in(const Words& words) {
  std::unordered_set<std::u32string_view> names;
  for (const KindedWord& word : words) {
    if (is_capitalised(word.text) && (!word.starts_sentence || has_second_capital(word.text))) {
      names.insert(word.text);
    }
  }
  return names;
}

}  // namespace

CopyCounts& CopyCounts::operator+=(const CopyCounts& other) {
  numbers += other.numbers;
  numbers_copied += other.numbers_copied;
  names += other.names;
  names_copied += other.names_copied;
  return *this;
}

CopyCounts copy_counts(std::string_view completion, std::string_view reference) {
  const std::u32string reference_text = decode_utf8(reference);
  const Words reference_words = words_of(reference_text);
  const auto names = names_in(reference_words);
  CopyCounts counts;
  std::unordered_map<std::u32string_view, std::uint64_t> wanted;
  for (const KindedWord& word : reference_words) {
    const bool number = is_number(word.text);
    if (!number && !names.contains(word.text)) continue;
    ++(number ? counts.numbers : counts.names);
    ++wanted[word.text];
  }
  if (wanted.empty()) return counts;

  const std::u32string completion_text = decode_utf8(completion);
  for (const KindedWord& word : words_of(completion_text)) {
    const auto found = wanted.find(word.text);
    if (found == wanted.end() || found->second == 0) continue;
    --found->second;
    ++(is_number(word.text) ? counts.numbers_copied : counts.names_copied);
  }
  return counts;
}

}  // namespace gist
