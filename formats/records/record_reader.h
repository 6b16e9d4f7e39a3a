// Records of an input, one after the other. An input named *.tsv has a row a line, under a header
// (formats/records/tsv.h); of the others, one whose first byte is [ (white space aside) is a JSON
// array of records, and any other has a JSON object a line. Each may be compressed
// (formats/files/decompressor.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/records/json_array.h"
#include "formats/records/jsonl.h"
#include "formats/records/line_reader.h"
#include "kernels/error.h"

namespace gist {

/// A record may be this long where nobody says otherwise.
constexpr std::size_t default_record_bytes = std::size_t{16} << 20;

class RecordReader {
 public:
  /// `map` must outlive the reader and its records. A read that blocks ends when the descriptor
  /// `wake` (-1: none) becomes readable. Records longer than `most_bytes` (0: any) are refused by
  /// `parse` without being held in memory.
  RecordReader(const std::string& path, const FieldMap& map, int wake = -1,
               std::size_t most_bytes = default_record_bytes);

  /// The next line that isn't blank, or the next row or element, not parsed yet: text, line and
  /// ordinal only. They are read one by one; Error(data) says where an array goes wrong. The empty
  /// line of a table is a row only where the table has one column.
  std::optional<Record> next();
  /// Parses what next gave: a row becomes a record of strings. Throws Error(data).
  Record parse(Record record) const;
  const std::string& name() const { return name_; }
  /// Returns how much of the input is done, from 0 to 1; nothing where that isn't known.
  std::optional<double> fraction() const { return lines_.fraction(); }

 private:
  enum class Form { unknown, lines, array, table };
  Form read_form();
  Form read_header();
  std::optional<Record> next_line();
  std::optional<Record> next_element();
  Record unparsed(std::string text, std::uint64_t line, bool cut);
  bool is_blank(const std::string& line) const;

  LineReader lines_;
  std::string name_;
  const FieldMap* map_;
  Form form_ = Form::unknown;
  std::uint64_t line_ = 0;
  std::uint64_t ordinal_ = 0;
  std::size_t most_bytes_;
  std::optional<ArraySplitter> array_;
  std::vector<std::string> columns_;  // of a table
};

/// An error of a record that begins with its place, "FILE:LINE: ", where it doesn't yet: what is
/// given texts alone can't know that. `input` is the file's name.
Error placed(const Error& error, const std::string& input, const Record& record);

/// Throws Error(data) for a record that is longer than `most_bytes`.
[[noreturn]] void refuse_length(const std::string& input, std::uint64_t line,
                                std::size_t most_bytes);

}  // namespace gist
