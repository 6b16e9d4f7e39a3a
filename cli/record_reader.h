// Records of an input, one after the other, with what happens to those that can't be used.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/line_reader.h"
#include "cli/line_writer.h"
#include "cli/options.h"
#include "formats/jsonl.h"
#include "kernels/error.h"

namespace gist {

/// --keep-going and --errors: what Rejects reads.
std::vector<OptionSpec> reject_options();

/// What happens to records that can't be used.
class Rejects {
 public:
  /// Without --keep-going the first one ends the run. With it each gets a warning on standard
  /// error, and a line in the file of --errors: {"line", "ordinal", "reason", "record"}.
  explicit Rejects(const Options& options);
  ~Rejects();
  Rejects(const Rejects&) = delete;
  Rejects& operator=(const Rejects&) = delete;

  /// Throws the error on unless --keep-going.
  void reject(const Record& record, const Error& error);
  std::uint64_t count() const { return count_; }

 private:
  bool keep_going_;
  int descriptor_ = -1;
  std::optional<LineWriter> file_;
  std::uint64_t count_ = 0;
};

class RecordReader {
 public:
  RecordReader(const std::string& path, const Signals* signals);

  /// The next line that isn't blank, not parsed yet: text, line and ordinal only.
  std::optional<Record> next_line();
  /// Parses what next_line gave and runs `action` on it. An Error(data) of either rejects the
  /// record; then the answer is false.
  bool use(Record& record, Rejects& rejects,
           const std::function<void(const Record&)>& action) const;

  const std::string& name() const { return lines_.name(); }
  std::optional<double> fraction() const { return lines_.fraction(); }

 private:
  LineReader lines_;
  std::uint64_t line_ = 0;
  std::uint64_t ordinal_ = 0;
};

/// The field as an id: a string, or a whole number as it is spelled. Nothing where the record lacks
/// it. Throws Error(data) for other types, and for "".
std::optional<std::string> id_field(const Record& record, const char* field,
                                    const std::string& where);

}  // namespace gist
