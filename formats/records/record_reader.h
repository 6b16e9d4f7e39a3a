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

/// The next record's text, or nothing behind the last one.
using RecordTexts = std::function<std::optional<std::string>()>;

class RecordReader {
 public:
  /// `map` must outlive the reader and its records. A read that blocks ends when the descriptor
  /// `wake` (-1: none) becomes readable. Records longer than `most_bytes` (0: any) are refused by
  /// `parse` without being held in memory.
  RecordReader(const std::string& path, const FieldMap& map, int wake = -1,
               std::size_t most_bytes = default_record_bytes);

  /// Records that no file holds: `texts` gives the JSON object of one record after the other, and
  /// nothing at their end. `name` stands for the input in messages, the number of a text, from 1,
  /// for its line. `map` and `most_bytes` are as above.
  RecordReader(std::string name, RecordTexts texts, const FieldMap& map,
               std::size_t most_bytes = default_record_bytes);

  /// The next line that isn't blank, or the next row or element, not parsed yet: text, line and
  /// ordinal only. They are read one by one; Error(data) says where an array goes wrong. The empty
  /// line of a table is a row only where the table has one column.
  std::optional<Record> next();
  /// Parses what next gave: a row becomes a record of strings. Throws Error(data).
  Record parse(Record record) const;
  /// The same as the function below, of this input.
  Error placed(const Error& error, const Record& record) const;

  const std::string& name() const { return name_; }
  /// Returns how much of the input is done, from 0 to 1; nothing where that isn't known.
  std::optional<double> fraction() const { return lines_ ? lines_->fraction() : std::nullopt; }

 private:
  enum class Form { unknown, lines, array, table };
  Form read_form();
  Form read_header();
  std::optional<Record> next_line();
  std::optional<Record> next_element();
  std::optional<Record> next_text();
  Record unparsed(std::string text, std::uint64_t line, bool cut);
  bool is_blank(const std::string& line) const;
  [[noreturn]] void refuse_length(std::uint64_t line) const;

  std::optional<LineReader> lines_;  // nothing where `texts_` gives the records
  RecordTexts texts_;
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

/// A RejectRecord decides what becomes of a record that can't be used: it throws the error on, or
/// returns, and the run does without the record. The error names the record's place.
using RejectRecord = std::function<void(const Record& record, const Error& error)>;

/// Parses what reader.next() gave, in place, and runs `action` on it. An Error(data) of either
/// rejects the record; then the answer is false.
bool use_record(const RecordReader& reader, Record& record, const RejectRecord& reject,
                const std::function<void(const Record&)>& action);

}  // namespace gist
