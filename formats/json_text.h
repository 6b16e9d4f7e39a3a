// JSON as all of gist's inputs are read: strict UTF-8, no key twice, bounded nesting, and errors
// that name file, line and column.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gist {

constexpr std::size_t max_json_depth = 256;

/// Parses one JSON value that takes the whole text. Throws Error(data), "WHERE:LINE:COLUMN: what is
/// wrong", for what is no JSON, invalid UTF-8, a NUL byte, a key given twice in an object, and
/// nesting deeper than max_json_depth. `first_line` is the line in WHERE where the text starts. A
/// number too large for a double becomes a string that spells it.
nlohmann::json parse_json(std::string_view text, const std::string& where,
                          std::uint64_t first_line = 1);

/// The file's JSON object, its members sorted by name. Throws Error(no_input) or Error(io) where it
/// can't be read, Error(data) where it holds something else.
nlohmann::json read_json_object(const std::filesystem::path& path);
/// The same, its members in the file's order (sorted where a number in it is too large for a
/// double).
nlohmann::ordered_json read_ordered_json_object(const std::filesystem::path& path);

}  // namespace gist
