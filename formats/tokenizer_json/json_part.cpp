#include "formats/tokenizer_json/json_part.h"

#include <algorithm>
#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

const nlohmann::json nothing;

/// On one line, in front of what an object or an array holds where that is long.
std::string shown(const nlohmann::json& value) {
  if (value.is_object() && value.size() > 8)
    return counted(value.size(), "member") + " of an object";
  if (value.is_array() && value.size() > 8) return "an array of " + counted(value.size(), "value");
  return shortened(printable(text_of_json(value)), 120);
}

/// The place for messages, which the whole file has no more of than its path.
std::string_view without_colon(std::string_view place) {
  return place.ends_with(": ") ? place.substr(0, place.size() - 2) : place;
}

}  // namespace

JsonPart JsonPart::below(const nlohmann::json& value, const std::string& step) const {
  const bool at_root = place_.ends_with(": ");
  return {value, place_ + (at_root || step.front() == '[' ? "" : ".") + step};
}

JsonPart JsonPart::member(const char* name) const {
  if (!value_->is_object()) refuse("an object");
  const auto found = value_->find(name);
  return below(found == value_->end() ? nothing : *found, name);
}

std::vector<JsonPart> JsonPart::items() const {
  if (!value_->is_array()) refuse("an array");
  std::vector<JsonPart> parts;
  parts.reserve(value_->size());
  for (const nlohmann::json& value : *value_) {
    parts.push_back(below(value, "[" + std::to_string(parts.size()) + "]"));
  }
  return parts;
}

std::string JsonPart::type() const {
  return member("type").text();
}

std::string JsonPart::text() const {
  if (!value_->is_string()) refuse("a text");
  return value_->get<std::string>();
}

std::string JsonPart::character() const {
  std::string text = value_->is_string() ? value_->get<std::string>() : std::string();
  if (text.empty() || !is_one_character(text)) refuse("one character");
  return text;
}

std::int64_t JsonPart::integer(std::int64_t least, std::int64_t most) const {
  const bool is_one = value_->is_number_integer() &&
                      !(value_->is_number_unsigned() &&
                        value_->get<std::uint64_t>() > static_cast<std::uint64_t>(INT64_MAX));
  const std::int64_t number = is_one ? value_->get<std::int64_t>() : 0;
  if (!is_one || number < least || number > most) {
    refuse(fmt::format("a whole number from {} to {}", least, most));
  }
  return number;
}

bool JsonPart::flag(std::optional<bool> otherwise) const {
  if (value_->is_null() && otherwise) return *otherwise;
  if (!value_->is_boolean()) refuse("true or false");
  return value_->get<bool>();
}

double JsonPart::number() const {
  if (!value_->is_number()) refuse("a number");
  return value_->get<double>();
}

void JsonPart::allow(std::initializer_list<std::string_view> names) const {
  if (!value_->is_object()) refuse("an object");
  for (const auto& [name, value] : value_->items()) {
    if (std::find(names.begin(), names.end(), name) == names.end() && !value.is_null()) {
      fail(ErrorKind::data, "{}: has {}: {}, which gist doesn't know", without_colon(place_),
           in_quotes(name), shown(value));
    }
  }
}

void JsonPart::refuse(std::string_view expected) const {
  fail(ErrorKind::data, "{}: expected {}, found {}", without_colon(place_), expected,
       shown(*value_));
}

void JsonPart::refuse_type(std::string_view known) const {
  fail(ErrorKind::data, "{}: is of type {}, which gist doesn't know: it knows {}", place_,
       in_quotes(type()), known);
}

}  // namespace gist
