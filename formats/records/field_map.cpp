#include "formats/records/field_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using json = nlohmann::json;

/// MessageKeys are the names under which a message says who speaks, and what.
struct MessageKeys {
  const char* role;
  const char* content;
};
constexpr std::array message_keys = {MessageKeys{"role", "content"}, MessageKeys{"from", "value"}};

const json* member(const json& object, std::string_view name) {
  const auto at = object.find(name);
  return at == object.end() ? nullptr : &*at;
}

/// Returns what the message says, if it is one of that role. `list` is the path of its list.
const json* content_of(const json& message, std::string_view role, const std::string& list,
                       const std::string& place) {
  for (const MessageKeys& keys : message_keys) {
    if (!message.is_object() || !message.contains(keys.role) || !message.contains(keys.content)) {
      continue;
    }
    return message[keys.role] == role ? &message[keys.content] : nullptr;
  }
  fail(ErrorKind::data,
       "{}: the field {} should be a list of messages {{\"role\", \"content\"}}, found {} in it",
       place, in_quotes(list), in_quotes(text_of_json(message)));
}

/// The message of the role at `step` in a list; `step` moves behind all that was used.
const json* message_of(const json& messages, const FieldPath& path, std::size_t& step,
                       const std::string& place) {
  const std::string list = fmt::format("{}", fmt::join(std::span(path.steps).first(step), "."));
  const std::string& role = path.steps[step++];
  std::vector<const json*> contents;
  for (const json& message : messages) {
    const json* content = content_of(message, role, list, place);
    if (content != nullptr) contents.push_back(content);
  }
  const std::string choice = step < path.steps.size() ? path.steps[step] : "";
  const bool chosen = choice == "first" || choice == "last";
  if (chosen) ++step;
  if (contents.empty()) return nullptr;
  if (contents.size() > 1 && !chosen) {
    fail(ErrorKind::data,
         "{}: the field {} has {} messages of role {}, and one is asked for (--fields): add "
         ".first or .last to the path, or split the record",
         place, in_quotes(list), contents.size(), in_quotes(role));
  }
  return choice == "last" ? contents.back() : contents.front();
}

bool gives_other_name(const FieldMap& map, std::string_view name) {
  return std::any_of(map.begin(), map.end(),
                     [name](const auto& entry) { return entry.second.text == name; });
}

}  // namespace

FieldMap parse_field_map(const std::string& list) {
  FieldMap map;
  for (const std::string& pair : split(list, ',')) {
    const std::size_t equals = std::min(pair.find('='), pair.size());
    const std::string name = pair.substr(0, equals);
    const std::string path = pair.substr(std::min(equals + 1, pair.size()));
    const FieldPath field{path, split(path, '.')};
    const bool empty = std::any_of(field.steps.begin(), field.steps.end(),
                                   [](const std::string& step) { return step.empty(); });
    if (name.empty() || empty) {
      fail(ErrorKind::usage, "fields (--fields): expected NAME=FIELD,NAME=FIELD, found {}",
           in_quotes(list));
    }
    if (!map.emplace(name, field).second) {
      fail(ErrorKind::usage, "fields (--fields): {} is given twice", in_quotes(name));
    }
  }
  return map;
}

const json* value_at(const json& object, const FieldPath& path, const std::string& place) {
  if (const json* named = member(object, path.text)) return named;
  const json* value = &object;
  for (std::size_t step = 0; value != nullptr && step < path.steps.size();) {
    if (value->is_object()) {
      value = member(*value, path.steps[step++]);
    } else if (value->is_array()) {
      value = message_of(*value, path, step, place);
    } else {
      value = nullptr;
    }
  }
  return value;
}

const json* mapped_field(const json& record, const FieldMap& map, std::string_view name,
                         const std::string& place) {
  static const json none = "";
  const auto entry = map.find(name);
  if (entry != map.end()) return value_at(record, entry->second, place);
  const json* own = gives_other_name(map, name) ? nullptr : member(record, name);
  const bool no_inputs = own == nullptr && name == "input" && !map.empty();
  return no_inputs ? &none : own;
}

}  // namespace gist
