// Records: JSON objects, one a line or the elements of an array. What gist doesn't know passes
// through byte for byte, long numbers and all: a record keeps its text, and fields are added to
// that.
#pragma once

#include <cstdint>
#include <filesystem>
#include <istream>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "formats/records/field_map.h"

namespace gist {

struct Record {
  std::uint64_t line = 0;         // counted from 1; of an element, its first
  std::uint64_t ordinal = 0;      // counted from 0, blank lines left out
  std::string text;               // the line; of an array's element, all its lines
  nlohmann::json fields;          // parsed: an object
  std::string where;              // the input's name, for messages
  const FieldMap* map = nullptr;  // --fields; null for none. It must outlive the record
  bool cut = false;  // longer than its reader takes: `text` is only its beginning, not parsed

  /// The field as text, from where the map has it. Data sets that tables were written to have null
  /// where a cell was empty: an input that is null is "", any other field as if it weren't there.
  /// Throws Error(data) naming input, line and field where it is missing (saying that "" stands for
  /// none), null, or no string.
  const std::string& string(std::string_view name) const;
  const std::string* find_string(std::string_view name) const;  // null where missing
  const nlohmann::json* find(std::string_view name) const;      // null where missing
};

/// Parses one record. `where` is the input's name, for messages. Throws Error(data) for what is no
/// JSON object, invalid UTF-8, a key given twice, or nesting deeper than 256.
Record parse_record(std::string text, const std::string& where, std::uint64_t line,
                    std::uint64_t ordinal);

/// The record as a line, with fields added before its closing brace, otherwise byte for byte: only
/// line ends within it become spaces. Throws Error(data) naming a field that the record has
/// already. Bytes in `added` that are not UTF-8 become U+FFFD.
std::string with_fields(const Record& record, const nlohmann::ordered_json& added,
                        const std::string& where);

/// The field as an id: a string, or a whole number as it is spelled. Nothing where the record lacks
/// it. Throws Error(data) for other types, and for "".
std::optional<std::string> id_field(const Record& record, const char* field,
                                    const std::string& where);

}  // namespace gist
