#include "formats/model/added_words.h"

#include <algorithm>

namespace gist {
namespace {

constexpr std::string_view white_space = " \t\n\v\f\r";

/// Whether white space alone, or nothing, stands on both sides.
bool stands_alone(std::string_view text, std::size_t begin, std::size_t end) {
  const auto is_space = [&](std::size_t at) {
    return white_space.find(text[at]) != std::string_view::npos;
  };
  return (begin == 0 || is_space(begin - 1)) && (end == text.size() || is_space(end));
}

/// The longest word that begins here.
const AddedToken* word_at(std::string_view text, std::size_t at,
                          std::span<const AddedToken> tokens) {
  const AddedToken* longest = nullptr;
  for (const AddedToken& token : tokens) {
    if (token.special || token.text.empty() || !text.substr(at).starts_with(token.text)) continue;
    if (token.single_word && !stands_alone(text, at, at + token.text.size())) continue;
    if (longest == nullptr || token.text.size() > longest->text.size()) longest = &token;
  }
  return longest;
}

std::string_view without_end(std::string_view text) {
  return text.substr(0, text.find_last_not_of(white_space) + 1);
}

}  // namespace

std::vector<TextPart> split_at_words(std::string_view text, std::span<const AddedToken> tokens) {
  const bool any = std::any_of(tokens.begin(), tokens.end(),
                               [](const AddedToken& token) { return !token.special; });
  if (!any) return {{text, nullptr}};
  std::vector<TextPart> parts;
  const auto add_between = [&parts](std::string_view between) {
    if (!between.empty()) parts.push_back({between, nullptr});
  };
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const AddedToken* word = word_at(text, at, tokens);
    if (word == nullptr) {
      ++at;
      continue;
    }
    const std::string_view between = text.substr(begin, at - begin);
    add_between(word->lstrip ? without_end(between) : between);
    parts.push_back({text.substr(at, word->text.size()), word});
    at += word->text.size();
    if (word->rstrip) at = std::min(text.find_first_not_of(white_space, at), text.size());
    begin = at;
  }
  add_between(text.substr(begin));
  if (parts.empty()) parts.push_back({text, nullptr});
  return parts;
}

}  // namespace gist
