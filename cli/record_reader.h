// Records of an input, one after the other, with what happens to those that can't be used. An input
// named *.tsv has a row a line, under a header (formats/tsv.h); of the others, one whose first byte
// is [ (white space aside) is a JSON array of records, and any other has a JSON object a line. Each
// may be compressed (formats/decompressor.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/line_reader.h"
#include "cli/line_writer.h"
#include "cli/options.h"
#include "cli/output_list.h"
#include "formats/json_array.h"
#include "formats/jsonl.h"
#include "formats/prompt_template.h"
#include "kernels/error.h"

namespace gist {

/// --fields and --max-record-bytes.
std::vector<OptionSpec> field_options();
/// What --fields says; without it, nothing. Throws Error(usage) where it maps a name that neither
/// gist nor the template reads: it would be misspelt.
FieldMap field_map(const Options& options, const PromptTemplate& prompt_template);

/// What --max-record-bytes says; 0 for any length.
std::size_t max_record_bytes(const Options& options);
/// Where no option says it.
constexpr std::size_t default_record_bytes = std::size_t{16} << 20;

/// --keep-going and --errors: what Rejects reads.
std::vector<OptionSpec> reject_options();

/// What happens to records that can't be used.
class Rejects {
 public:
  /// Without --keep-going the first one ends the run. With it each gets a line in the file of
  /// --errors, {"line", "ordinal", "reason", "record"}, or else a warning.
  explicit Rejects(const Options& options);
  Rejects() = default;  // the first one ends the run
  Rejects(const Rejects&) = delete;
  Rejects& operator=(const Rejects&) = delete;

  /// Throws the error on unless --keep-going.
  void reject(const Record& record, const Error& error);
  std::uint64_t count() const { return count_; }
  /// Says at the end of a run how many stand in the file of --errors, where there are any.
  void tell_listed() const;

 private:
  bool keep_going_ = false;
  std::optional<OutputList> list_;
  std::uint64_t count_ = 0;
};

class RecordReader {
 public:
  /// `map` must outlive the reader and its records. With `signals`, a read that blocks ends when a
  /// signal comes. Records longer than `most_bytes` (0: any) are refused by `parse` without being
  /// held in memory.
  RecordReader(const std::string& path, const FieldMap& map, const Signals* signals,
               std::size_t most_bytes = default_record_bytes);

  /// The next line that isn't blank, or the next row or element, not parsed yet: text, line and
  /// ordinal only. They are read one by one; Error(data) says where an array goes wrong. The empty
  /// line of a table is a row only where the table has one column.
  std::optional<Record> next();
  /// Parses what next gave: a row becomes a record of strings. Throws Error(data).
  Record parse(Record record) const;
  /// Parses what next gave, in place, and runs `action` on it. An Error(data) of either rejects the
  /// record; then the answer is false.
  bool use(Record& record, Rejects& rejects,
           const std::function<void(const Record&)>& action) const;

  /// An error of a record that begins with its place, "FILE:LINE: ", where it doesn't yet: what is
  /// given texts alone can't know that.
  Error placed(const Error& error, const Record& record) const;

  /// Reads all that is left into memory, from where next() gives it; rewind() has it begin again.
  void hold();
  void rewind() { next_held_ = 0; }

  const std::string& name() const { return lines_.name(); }
  /// How much of the input is done, from 0 to 1; nothing where that isn't known.
  std::optional<double> fraction() const;

 private:
  enum class Form { unknown, lines, array, table };
  Form read_form();
  Form read_header();
  std::optional<Record> read();
  std::optional<Record> next_line();
  std::optional<Record> next_element();
  Record unparsed(std::string text, std::uint64_t line, bool cut);
  bool is_blank(const std::string& line) const;
  [[noreturn]] void refuse_length(std::uint64_t line) const;

  LineReader lines_;
  const FieldMap* map_;
  Form form_ = Form::unknown;
  std::uint64_t line_ = 0;
  std::uint64_t ordinal_ = 0;
  std::size_t most_bytes_;
  std::optional<ArraySplitter> array_;
  std::vector<std::string> columns_;  // of a table
  std::optional<std::vector<Record>> held_;
  std::size_t next_held_ = 0;
};

/// The field as an id: a string, or a whole number as it is spelled. Nothing where the record lacks
/// it. Throws Error(data) for other types, and for "".
std::optional<std::string> id_field(const Record& record, const char* field,
                                    const std::string& where);

}  // namespace gist
