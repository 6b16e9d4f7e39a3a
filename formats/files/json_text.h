// JSON as all of gist's inputs are read, those of plugins included: strict UTF-8, no key twice,
// bounded nesting (values are copied, written and destroyed by recursion), and errors that name
// file, line and column.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace gist {

constexpr std::size_t max_json_depth = 256;

/// LongIntegers says what an integer becomes that no 64 bits hold: the nearest double, or a string
/// that spells it.
enum class LongIntegers : std::uint8_t { as_double, as_text };

/// Parses one JSON value that takes the whole text. Throws Error(data), "WHERE:LINE:COLUMN: what is
/// wrong", for what is no JSON, invalid UTF-8, a NUL byte, a key given twice in an object, and
/// nesting deeper than max_json_depth. `first_line` is the line in WHERE where the text starts. A
/// number too large for a double becomes a string that spells it.
nlohmann::json parse_json(std::string_view text, const std::string& where,
                          std::uint64_t first_line = 1,
                          LongIntegers integers = LongIntegers::as_double);

/// The same value; nothing where parse_json would refuse the text.
std::optional<nlohmann::json> json_in(std::string_view text);
/// Likewise, the members of objects in the text's order.
std::optional<nlohmann::ordered_json> ordered_json_in(std::string_view text);

/// The value as JSON text: on one line, or with `indent` spaces a level. Bytes in it that are no
/// UTF-8, as names of files may have, become U+FFFD.
std::string text_of_json(const nlohmann::json& value, int indent = -1);
std::string text_of_json(const nlohmann::ordered_json& value, int indent = -1);

/// The file's JSON object, its members sorted by name. Throws Error(no_input) or Error(io) where it
/// can't be read, Error(data) where it holds something else.
nlohmann::json read_json_object(const std::filesystem::path& path);
/// The same, its members in the file's order.
nlohmann::ordered_json read_ordered_json_object(const std::filesystem::path& path);

/// The text of a member, which the object must have. Throws Error(data), naming the place and the
/// member, where it is no string.
const std::string& text_member(const nlohmann::json& object, const char* name,
                               const std::string& where);

}  // namespace gist
