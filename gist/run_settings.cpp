#include "gist/run_settings.h"

#include <fmt/format.h>

#include "formats/files/json_text.h"

namespace gist {
namespace {

constexpr std::size_t longest_shown = 40;

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
      return fmt::format("with another --{}", name);
    }
    return fmt::format("with --{} {}, and this run has {}", name, was, is);
  }
  return "";
}

nlohmann::ordered_json setting_of_names(const std::vector<std::string>& names) {
  if (names.empty()) return nullptr;
  return names;
}

}  // namespace gist
