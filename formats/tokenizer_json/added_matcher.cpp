#include "formats/tokenizer_json/added_matcher.h"

#include <algorithm>
#include <utility>

#include "core/utf8.h"
#include "formats/tokenizer_json/unicode.h"

namespace gist {
namespace {

/// Whether the text is a character that \w of a regular expression matches.
bool is_word_character(std::string_view character) {
  static const TextPattern word(R"([\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}])");
  std::vector<Span> matches;
  word.find_all(character, matches);
  return !matches.empty();
}

bool inside_of_word(std::string_view text, Span match) {
  if (match.begin > 0) {
    const std::string_view before = text.substr(0, match.begin);
    if (is_word_character(before.substr(before.size() - last_character_bytes(before)))) return true;
  }
  if (match.end == text.size()) return false;
  const std::string_view after = text.substr(match.end);
  return is_word_character(after.substr(0, first_character(after).bytes));
}

}  // namespace

AddedMatcher::AddedMatcher(std::vector<Pattern> patterns) : patterns_(std::move(patterns)) {
  std::vector<std::pair<std::string_view, std::int32_t>> keys;
  for (std::size_t i = 0; i < patterns_.size(); ++i) {
    keys.emplace_back(patterns_[i].text, static_cast<std::int32_t>(i));
  }
  trie_ = ByteTrie(std::move(keys));
}

std::vector<AddedPart> AddedMatcher::parts(std::string_view text) const {
  std::vector<AddedPart> parts;
  if (text.empty()) return parts;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < text.size();) {
    Span match{at, at};
    const AddedToken* token = nullptr;
    trie_.each_prefix(text.substr(at), [&](std::size_t bytes, std::int32_t pattern) {
      match.end = at + bytes;
      token = &patterns_[static_cast<std::size_t>(pattern)].token;
    });
    if (token == nullptr) {
      ++at;
      continue;
    }
    at = match.end;
    if (token->special || (token->single_word && inside_of_word(text, match))) continue;
    if (token->lstrip) {
      match.begin = std::max(match.begin - white_space_at_end(text.substr(0, match.begin)), copied);
    }
    if (token->rstrip) match.end += white_space_at_start(text.substr(match.end));
    if (copied < match.begin) parts.push_back({{copied, match.begin}, nullptr});
    parts.push_back({match, token});
    copied = match.end;
  }
  if (copied < text.size()) parts.push_back({{copied, text.size()}, nullptr});
  return parts;
}

}  // namespace gist
