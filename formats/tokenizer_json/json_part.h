// A value of a tokenizer.json and its place there, so that what gist can't follow is refused by
// name: nothing that the file asks for is passed over.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gist {

/// How deep the file's sequences may be nested in each other.
constexpr int deepest_sequence = 8;

class JsonPart {
 public:
  /// `place` names the file and the way to the value: "DIR/tokenizer.json: decoder.decoders[1]".
  /// The value must outlive the part.
  JsonPart(const nlohmann::json& value, std::string place)
      : value_(&value), place_(std::move(place)) {}

  const nlohmann::json& value() const { return *value_; }
  const std::string& place() const { return place_; }
  bool is_null() const { return value_->is_null(); }

  // Each throws Error(data), naming place and value, where the value is of another kind.

  /// null where the object has no such member.
  JsonPart member(const char* name) const;
  std::vector<JsonPart> items() const;
  /// The member "type": which of several kinds an object is.
  std::string type() const;
  std::string text() const;
  /// A text of one character.
  std::string character() const;
  std::int64_t integer(std::int64_t least, std::int64_t most) const;
  /// Without `otherwise` the value must be there.
  bool flag(std::optional<bool> otherwise = std::nullopt) const;
  double number() const;
  /// Refuses an object with members that aren't among these.
  void allow(std::initializer_list<std::string_view> names) const;

  /// Throws Error(data): "PLACE: expected EXPECTED, found VALUE".
  [[noreturn]] void refuse(std::string_view expected) const;
  /// The same for a kind that gist doesn't know.
  [[noreturn]] void refuse_type(std::string_view known) const;

 private:
  JsonPart below(const nlohmann::json& value, const std::string& step) const;

  const nlohmann::json* value_;
  std::string place_;
};

}  // namespace gist
