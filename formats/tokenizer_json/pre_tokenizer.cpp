#include "formats/tokenizer_json/pre_tokenizer.h"

#include <algorithm>
#include <map>

#include "formats/files/text.h"
#include "formats/tokenizer_json/byte_alphabet.h"
#include "formats/tokenizer_json/known_regex.h"
#include "formats/tokenizer_json/unicode.h"

namespace gist {
namespace {

constexpr const char* known_pre_tokenizers =
    "Sequence, Split, ByteLevel, Digits, Metaspace, Whitespace, WhitespaceSplit and Punctuation";
/// \w+|[^\w\s]+ as Unicode Technical Standard 18, annex C, defines \w.
constexpr std::string_view words_and_symbols =
    R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+)"
    R"(|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\s]+)";

/// Appends a word to a new text.
void append_word(std::string_view word, Words& words) {
  const std::size_t begin = words.text.size();
  words.text += word;
  words.spans.push_back({begin, words.text.size()});
}

std::string_view text_of(const Words& words, Span span) {
  return std::string_view(words.text).substr(span.begin, span.end - span.begin);
}

bool is_first(const Words& words, Span span) {
  return span.begin < words.first_bytes;
}

}  // namespace

PreTokenizer::PreTokenizer(const JsonPart& part) {
  if (part.is_null()) return;
  read(part, 0);
  if (part.type() == "ByteLevel") {
    byte_level_space_ = std::get<ByteLevel>(steps_.front()).space_before;
  }
}

PreTokenizer::Behavior PreTokenizer::behavior_in(const JsonPart& part) {
  static const std::map<std::string, Behavior> behaviors = {
      {"Removed", Behavior::removed},
      {"Isolated", Behavior::isolated},
      {"MergedWithPrevious", Behavior::merged_with_previous},
      {"MergedWithNext", Behavior::merged_with_next},
      {"Contiguous", Behavior::contiguous}};
  const auto found = behaviors.find(part.text());
  if (found == behaviors.end()) {
    part.refuse("Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous");
  }
  return found->second;
}

PreTokenizer::ByteLevel PreTokenizer::byte_level_in(const JsonPart& part) {
  part.allow({"type", "add_prefix_space", "trim_offsets", "use_regex"});
  return {part.member("add_prefix_space").flag(), part.member("use_regex").flag(true),
          TextPattern(gpt2_regex)};
}

PreTokenizer::Metaspace PreTokenizer::metaspace_in(const JsonPart& part) {
  return {metaspace_settings(part), part.member("split").flag(true)};
}

void PreTokenizer::read(const JsonPart& part, int depth) {
  const std::string type = part.type();
  if (type == "Sequence") {
    part.allow({"type", "pretokenizers"});
    if (depth == deepest_sequence) part.refuse("sequences that aren't nested this deep");
    for (const JsonPart& each : part.member("pretokenizers").items()) read(each, depth + 1);
  } else if (type == "Split") {
    part.allow({"type", "pattern", "behavior", "invert"});
    steps_.emplace_back(Split{TextPattern(part.member("pattern")),
                              behavior_in(part.member("behavior")), part.member("invert").flag()});
  } else if (type == "ByteLevel") {
    steps_.emplace_back(byte_level_in(part));
  } else if (type == "Digits") {
    part.allow({"type", "individual_digits"});
    const bool each = part.member("individual_digits").flag();
    steps_.emplace_back(
        CharacterSplit{is_numeric, each ? Behavior::isolated : Behavior::contiguous});
  } else if (type == "Metaspace") {
    steps_.emplace_back(metaspace_in(part));
  } else if (type == "Whitespace") {
    part.allow({"type"});
    steps_.emplace_back(Split{TextPattern(words_and_symbols), Behavior::removed, true});
  } else if (type == "WhitespaceSplit") {
    part.allow({"type"});
    steps_.emplace_back(CharacterSplit{is_unicode_white_space, Behavior::removed});
  } else if (type == "Punctuation") {
    part.allow({"type", "behavior"});
    const JsonPart behavior = part.member("behavior");
    steps_.emplace_back(CharacterSplit{
        is_punctuation, behavior.is_null() ? Behavior::isolated : behavior_in(behavior)});
  } else {
    part.refuse_type(known_pre_tokenizers);
  }
}

void PreTokenizer::apply(Words& words) const {
  for (const Step& step : steps_) {
    std::visit([&words](const auto& each) { apply_step(each, words); }, step);
  }
}

/// Appends the parts of a word, none of them empty: what matches (with `invert` what doesn't)
/// stands by itself, is left out, or joins a neighbour.
void PreTokenizer::add_cut(Span word, const std::vector<Span>& matches, bool invert,
                           Behavior behavior, std::vector<Span>& spans) {
  if (behavior == Behavior::isolated) {  // by far the most frequent
    std::size_t done = word.begin;
    for (const Span& match : matches) {
      if (done < match.begin) spans.push_back({done, match.begin});
      if (match.begin < match.end) spans.push_back(match);
      done = match.end;
    }
    if (done < word.end) spans.push_back({done, word.end});
    return;
  }
  struct Part {
    Span span;
    bool matched;
  };
  std::vector<Part> parts;
  std::size_t at = word.begin;
  for (const Span& match : matches) {
    if (at < match.begin) parts.push_back({{at, match.begin}, invert});
    parts.push_back({match, !invert});
    at = match.end;
  }
  if (at < word.end) parts.push_back({{at, word.end}, invert});
  if (behavior == Behavior::merged_with_next) std::reverse(parts.begin(), parts.end());

  std::vector<Span> joined;
  bool after_match = false;
  for (const Part& part : parts) {
    const bool joins = behavior == Behavior::contiguous
                           ? part.matched == after_match
                           : behavior != Behavior::removed && part.matched && !after_match;
    after_match = part.matched;
    if (behavior == Behavior::removed && part.matched) continue;
    if (joins && !joined.empty()) {
      joined.back().begin = std::min(joined.back().begin, part.span.begin);
      joined.back().end = std::max(joined.back().end, part.span.end);
    } else {
      joined.push_back(part.span);
    }
  }
  if (behavior == Behavior::merged_with_next) std::reverse(joined.begin(), joined.end());
  for (const Span& span : joined) {
    if (span.begin < span.end) spans.push_back(span);
  }
}

void PreTokenizer::cut(Words& words, const TextPattern& pattern, bool invert, Behavior behavior) {
  std::vector<Span> spans, matches;
  spans.reserve(words.spans.size());
  for (const Span& word : words.spans) {
    matches.clear();
    pattern.find_all(text_of(words, word), matches);
    for (Span& match : matches) match = {match.begin + word.begin, match.end + word.begin};
    add_cut(word, matches, invert, behavior, spans);
  }
  words.spans = std::move(spans);
}

void PreTokenizer::apply_step(const Split& split, Words& words) {
  cut(words, split.pattern, split.invert, split.behavior);
}

void PreTokenizer::apply_step(const CharacterSplit& split, Words& words) {
  std::vector<Span> spans, matches;
  spans.reserve(words.spans.size());
  for (const Span& word : words.spans) {
    matches.clear();
    std::string_view rest = text_of(words, word);
    for (std::size_t at = word.begin; at < word.end;) {
      char32_t c = 0;
      next_character(rest, c);
      const std::size_t end = word.end - rest.size();
      if (split.matches(c)) matches.push_back({at, end});
      at = end;
    }
    add_cut(word, matches, false, split.behavior, spans);
  }
  words.spans = std::move(spans);
}

void PreTokenizer::apply_step(const ByteLevel& byte_level, Words& words) {
  if (byte_level.space_before) {
    Words spaced;
    for (const Span& span : words.spans) {
      std::string word(text_of(words, span));
      if (!word.starts_with(' ')) word.insert(0, 1, ' ');
      if (is_first(words, span)) spaced.first_bytes = spaced.text.size() + 1;
      append_word(word, spaced);
    }
    words = std::move(spaced);
  }
  if (byte_level.cuts) cut(words, byte_level.pattern, false, Behavior::isolated);
  const std::array<std::string, 256>& alphabet = byte_alphabet();
  Words spelled;
  spelled.text.reserve(words.text.size() + words.text.size() / 2);
  spelled.spans.reserve(words.spans.size());
  for (const Span& span : words.spans) {
    const std::size_t begin = spelled.text.size();
    for (const char byte : text_of(words, span)) {
      spelled.text += alphabet[static_cast<unsigned char>(byte)];
    }
    spelled.spans.push_back({begin, spelled.text.size()});
    if (is_first(words, span)) spelled.first_bytes = begin + 1;
  }
  words = std::move(spelled);
}

void PreTokenizer::apply_step(const Metaspace& metaspace, Words& words) {
  using Prepend = MetaspaceSettings::Prepend;
  const std::string& replacement = metaspace.settings.replacement;
  const Prepend prepend = metaspace.settings.prepend;
  Words replaced;
  replaced.text.reserve(words.text.size() * 3 / 2);
  for (const Span& span : words.spans) {
    const std::string_view word = text_of(words, span);
    const std::size_t begin = replaced.text.size();
    const bool first = is_first(words, span);
    const bool has_one = word.starts_with(' ') || word.starts_with(replacement);
    if (!has_one && (prepend == Prepend::always || (prepend == Prepend::first && first))) {
      replaced.text += replacement;
    }
    for (const char byte : word) {
      if (byte == ' ') {
        replaced.text += replacement;
      } else {
        replaced.text += byte;
      }
    }
    if (first) replaced.first_bytes = begin + 1;
    replaced.spans.push_back({begin, replaced.text.size()});
  }
  words = std::move(replaced);
  if (!metaspace.cuts) return;
  std::vector<Span> spans, matches;
  for (const Span& word : words.spans) {
    matches.clear();
    const std::string_view text = text_of(words, word);
    for (std::size_t at = 0; (at = text.find(replacement, at)) != std::string_view::npos;) {
      matches.push_back({word.begin + at, word.begin + at + replacement.size()});
      at += replacement.size();
    }
    add_cut(word, matches, false, Behavior::merged_with_next, spans);
  }
  words.spans = std::move(spans);
}

}  // namespace gist
