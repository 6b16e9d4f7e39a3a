#include "core/quality/porter_stemmer.h"

#include <algorithm>
#include <string_view>

namespace gist {
namespace {

/// A word that is being stemmed. It never grows beyond what it was.
class Word {
 public:
  explicit Word(std::span<char> letters) : letters_(letters), size_(letters.size()) {}

  std::string_view view() const { return {letters_.data(), size_}; }
  bool ends_with(std::string_view suffix) const { return view().ends_with(suffix); }
  /// The word without its last `letters`.
  std::string_view without(std::size_t letters) const { return view().substr(0, size_ - letters); }
  void replace_last(std::size_t letters, std::string_view replacement) {
    size_ -= letters;
    std::copy(replacement.begin(), replacement.end(), letters_.begin() + std::ssize(view()));
    size_ += replacement.size();
  }

 private:
  std::span<char> letters_;
  std::size_t size_;
};

// --- the paper's terms ---

bool is_vowel_letter(char c) {
  return c == 'a' || c == 'e' || c == 'i' || c == 'o' || c == 'u';
}

/// Any other letter, and a y that begins the word or follows a vowel.
bool is_consonant(std::string_view word, std::size_t i) {
  std::size_t first = i;  // of a run of y's that ends at i: its members take turns
  while (first > 0 && word[first] == 'y') --first;
  return is_vowel_letter(word[first]) == ((i - first) % 2 == 1);
}

/// m: how often a vowel is followed by a consonant.
int measure(std::string_view stem) {
  int m = 0;
  bool vowel = false;
  for (std::size_t i = 0; i < stem.size(); ++i) {
    const bool was_vowel = vowel;
    vowel = is_vowel_letter(stem[i]) || (stem[i] == 'y' && i > 0 && !was_vowel);
    if (was_vowel && !vowel) ++m;
  }
  return m;
}

/// *v*
bool contains_vowel(std::string_view stem) {
  const auto vowel_after_first = [](char c) { return is_vowel_letter(c) || c == 'y'; };
  // The first y that isn't the word's first letter, with no vowel before it, follows a consonant.
  return !stem.empty() &&
         (is_vowel_letter(stem[0]) || std::any_of(stem.begin() + 1, stem.end(), vowel_after_first));
}

/// *d
bool ends_with_double_consonant(std::string_view word) {
  const std::size_t n = word.size();
  return n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1);
}

/// *o: consonant, vowel, consonant, the last not w, x or y. NLTK's, too: vowel, consonant.
bool ends_with_short_syllable(std::string_view word) {
  const std::size_t n = word.size();
  if (n < 2 || is_consonant(word, n - 2) || !is_consonant(word, n - 1)) return false;
  if (n == 2) return true;
  const char last = word[n - 1];
  return is_consonant(word, n - 3) && last != 'w' && last != 'x' && last != 'y';
}

// --- rules ---

struct Rule {
  std::string_view suffix;
  std::string_view replacement;
  std::size_t in_stem = 0;  // letters of the suffix that are measured with the stem
};

/// The first rule whose suffix the word has is applied if its stem's m is above `m`; no other is.
void apply_first(std::span<const Rule> rules, int m, Word& word) {
  for (const Rule& rule : rules) {
    if (!word.ends_with(rule.suffix)) continue;
    if (measure(word.without(rule.suffix.size() - rule.in_stem)) > m) {
      word.replace_last(rule.suffix.size(), rule.replacement);
    }
    return;
  }
}

// --- the paper's steps ---

void step_1a(Word& word) {
  if (word.ends_with("sses")) {
    word.replace_last(2, "");
  } else if (word.ends_with("ies")) {
    word.replace_last(3, word.view().size() == 4 ? "ie" : "i");  // NLTK: dies -> die, flies -> fli
  } else if (word.ends_with("s") && !word.ends_with("ss")) {
    word.replace_last(1, "");
  }
}

bool remove_after_vowel(std::string_view suffix, Word& word) {
  if (!word.ends_with(suffix) || !contains_vowel(word.without(suffix.size()))) return false;
  word.replace_last(suffix.size(), "");
  return true;
}

void step_1b(Word& word) {
  if (word.ends_with("ied")) {
    word.replace_last(3, word.view().size() == 4 ? "ie" : "i");  // NLTK: died -> die, spied -> spi
    return;
  }
  if (word.ends_with("eed")) {
    if (measure(word.without(3)) > 0) word.replace_last(1, "");
    return;
  }
  if (!remove_after_vowel("ed", word) && !remove_after_vowel("ing", word)) return;
  const std::string_view stem = word.view();
  const bool doubled = ends_with_double_consonant(stem);
  const bool needs_e = word.ends_with("at") || word.ends_with("bl") || word.ends_with("iz") ||
                       (!doubled && measure(stem) == 1 && ends_with_short_syllable(stem));
  if (needs_e) {
    word.replace_last(0, "e");
  } else if (doubled && !word.ends_with("l") && !word.ends_with("s") && !word.ends_with("z")) {
    word.replace_last(1, "");
  }
}

/// NLTK: after a consonant that doesn't begin the word: happy -> happi, but enjoy, by.
void step_1c(Word& word) {
  const std::size_t n = word.view().size();
  if (n > 2 && word.ends_with("y") && is_consonant(word.view(), n - 2)) word.replace_last(1, "i");
}

void step_2(Word& word) {
  static constexpr Rule rules[] = {
      {"ational", "ate"}, {"tional", "tion"}, {"enci", "ence"},   {"anci", "ance"},
      {"izer", "ize"},    {"bli", "ble"},     {"entli", "ent"},   {"eli", "e"},
      {"ousli", "ous"},   {"ization", "ize"}, {"ation", "ate"},   {"ator", "ate"},
      {"alism", "al"},    {"iveness", "ive"}, {"fulness", "ful"}, {"ousness", "ous"},
      {"aliti", "al"},    {"iviti", "ive"},   {"biliti", "ble"},  {"fulli", "ful"},
      {"logi", "log", 1},
  };
  // NLTK: what is left of -alli goes through the rules, too: rationalli -> rational -> ration
  if (word.ends_with("alli") && measure(word.without(4)) > 0) word.replace_last(2, "");
  apply_first(rules, 0, word);
}

void step_3(Word& word) {
  static constexpr Rule rules[] = {
      {"icate", "ic"}, {"ative", ""}, {"alize", "al"}, {"iciti", "ic"},
      {"ical", "ic"},  {"ful", ""},   {"ness", ""},
  };
  apply_first(rules, 0, word);
}

void step_4(Word& word) {
  static constexpr Rule rules[] = {
      {"al", ""},   {"ance", ""}, {"ence", ""}, {"er", ""},       {"ic", ""},
      {"able", ""}, {"ible", ""}, {"ant", ""},  {"ement", ""},    {"ment", ""},
      {"ent", ""},  {"ou", ""},   {"ism", ""},  {"ate", ""},      {"iti", ""},
      {"ous", ""},  {"ive", ""},  {"ize", ""},  {"sion", "s", 1}, {"tion", "t", 1},
  };
  apply_first(rules, 1, word);
}

void step_5a(Word& word) {
  if (!word.ends_with("e")) return;
  const std::string_view stem = word.without(1);
  const int m = measure(stem);
  if (m > 1 || (m == 1 && !ends_with_short_syllable(stem))) word.replace_last(1, "");
}

void step_5b(Word& word) {
  if (word.ends_with("ll") && measure(word.without(1)) > 1) word.replace_last(1, "");
}

struct Irregular {
  std::string_view word, stem;
};

/// NLTK's irregular forms.
constexpr Irregular irregulars[] = {
    {"sky", "sky"},        {"skies", "sky"},       {"dying", "die"},        {"lying", "lie"},
    {"tying", "tie"},      {"news", "news"},       {"innings", "inning"},   {"inning", "inning"},
    {"outings", "outing"}, {"outing", "outing"},   {"cannings", "canning"}, {"canning", "canning"},
    {"howe", "howe"},      {"proceed", "proceed"}, {"exceed", "exceed"},    {"succeed", "succeed"},
};

}  // namespace

std::size_t porter_stem(std::span<char> letters) {
  Word word(letters);
  if (word.view().size() <= 2) return word.view().size();
  for (const Irregular& irregular : irregulars) {
    if (word.view() != irregular.word) continue;
    word.replace_last(word.view().size(), irregular.stem);
    return word.view().size();
  }
  step_1a(word);
  step_1b(word);
  step_1c(word);
  step_2(word);
  step_3(word);
  step_4(word);
  step_5a(word);
  step_5b(word);
  return word.view().size();
}

}  // namespace gist
