#include "core/quality/answer_match.h"

#include <algorithm>
#include <vector>

#include "core/quality/unicode.h"
#include "core/utf8.h"

namespace gist {
namespace {

std::string_view strip(std::string_view text) {
  constexpr std::string_view white_space = " \t\n\v\f\r";
  const std::size_t first = text.find_first_not_of(white_space);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white_space) - first + 1);
}

bool is_ascii_punctuation(char32_t c) {
  return c > ' ' && c < 0x7F && !is_word(c);
}

bool is_article(std::u32string_view word) {
  return word == U"a" || word == U"an" || word == U"the";
}

/// Lower case, without punctuation; articles have become a space.
std::u32string without_articles(std::string_view text) {
  std::u32string letters = lower_case(decode_utf8(text));
  std::erase_if(letters, is_ascii_punctuation);
  std::u32string result;
  result.reserve(letters.size());
  for (std::size_t i = 0; i < letters.size();) {
    std::size_t end = i;
    while (end < letters.size() && is_word(letters[end])) ++end;
    const std::u32string_view word = std::u32string_view(letters).substr(i, end - i);
    result += is_article(word) ? U" " : word;
    if (end < letters.size()) result.push_back(letters[end++]);
    i = end;
  }
  return result;
}

std::vector<std::string_view> sorted_words(std::string_view normalized) {
  std::vector<std::string_view> words;
  for (std::size_t begin = 0; begin < normalized.size();) {
    const std::size_t end = std::min(normalized.find(' ', begin), normalized.size());
    words.push_back(normalized.substr(begin, end - begin));
    begin = end + 1;
  }
  std::sort(words.begin(), words.end());
  return words;
}

/// The size of the intersection of two sorted multisets.
std::size_t common(const std::vector<std::string_view>& a, const std::vector<std::string_view>& b) {
  std::size_t count = 0;
  for (std::size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    const int order = a[i].compare(b[j]);
    if (order == 0) ++count;
    if (order <= 0) ++i;
    if (order >= 0) ++j;
  }
  return count;
}

}  // namespace

bool exact_match(std::string_view completion, std::string_view reference) {
  return strip(completion) == strip(reference);
}

std::string normalized_answer(std::string_view text) {
  std::string result;
  bool space = false;
  for (const char32_t c : without_articles(text)) {
    if (is_white_space(c)) {
      space = true;
      continue;
    }
    if (space && !result.empty()) result.push_back(' ');
    space = false;
    append_utf8(c, result);
  }
  return result;
}

double token_f1(std::string_view completion, std::string_view reference) {
  const std::string completion_text = normalized_answer(completion);
  const std::string reference_text = normalized_answer(reference);
  const auto completion_words = sorted_words(completion_text);
  const auto reference_words = sorted_words(reference_text);
  if (completion_words.empty() || reference_words.empty()) {
    return completion_words.empty() && reference_words.empty() ? 1 : 0;
  }
  const auto same = static_cast<double>(common(completion_words, reference_words));
  if (same == 0) return 0;
  const double precision = same / static_cast<double>(completion_words.size());
  const double recall = same / static_cast<double>(reference_words.size());
  return 2 * precision * recall / (precision + recall);
}

std::size_t word_count(std::string_view text) {
  std::size_t count = 0;
  bool in_word = false;
  for (const char32_t c : decode_utf8(text)) {
    const bool was_in_word = in_word;
    in_word = !is_white_space(c);
    if (in_word && !was_in_word) ++count;
  }
  return count;
}

}  // namespace gist
