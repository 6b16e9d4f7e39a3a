#include "gist/run_settings.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "formats/files/json_text.h"

namespace gist {
namespace {

constexpr std::size_t longest_shown = 40;

/// What a setting is called where its option's name doesn't say it.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> words{{
    {"check", "number of checked prompts"},
    {"check-model", "checking model"},
    {"clip", "largest gradient norm"},
    {"ignore-tensors", "ignored tensors"},
    {"known", "store of known prompts"},
    {"line-buffered", "answering record by record"},
    {"lr", "learning rate"},
    {"max-new-tokens", "limit of new tokens"},
    {"max-tokens", "limit of tokens"},
    {"stop", "stop strings"},
    {"warmup", "warm-up"},
}};

std::string in_words(std::string_view option) {
  const auto found = std::find_if(words.begin(), words.end(),
                                  [&](const auto& entry) { return entry.first == option; });
  std::string text(found == words.end() ? option : found->second);
  if (found == words.end()) std::replace(text.begin(), text.end(), '-', ' ');
  return text;
}

std::string shown(const nlohmann::json& value) {
  return value.is_null() ? "nothing" : text_of_json(value);
}

}  // namespace

std::string settings_difference(const nlohmann::json& before, const nlohmann::ordered_json& now) {
  for (const auto& [name, value] : now.items()) {
    const nlohmann::json here = value;
    const auto found = before.find(name);
    const nlohmann::json there = found == before.end() ? nlohmann::json() : *found;
    if (there == here) continue;
    const std::string was = shown(there), is = shown(here);
    if (was.size() > longest_shown || is.size() > longest_shown) {
      return fmt::format("with another {} (--{})", in_words(name), name);
    }
    return fmt::format("with {} {}, and this run has {} (--{})", in_words(name), was, is, name);
  }
  return "";
}

nlohmann::ordered_json setting_of_names(const std::vector<std::string>& names) {
  if (names.empty()) return nullptr;
  return names;
}

}  // namespace gist
