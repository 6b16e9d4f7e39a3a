// A record source says where records come from: an input file, or a program's own memory.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

#include "formats/records/record_reader.h"

namespace gist {

/// Records, one after the other. But for `parse`, the functions are called on the thread that
/// called the library.
struct RecordSource {
  /// The input's name for messages, as in "prompts.jsonl:3: ...".
  std::string name;
  /// Gives the next record, perhaps not parsed yet, or nothing at the end. Ordinals count from 0
  /// and lines from 1, both rising. What it throws ends the run.
  std::function<std::optional<Record>()> next;
  /// Parses what `next` gave. An Error(data) rejects the record alone. Several threads may call it
  /// at once.
  std::function<Record(Record record)> parse;
  /// Tells how much of the input `next` has given, from 0 to 1. It may be empty, and may not know.
  std::function<std::optional<double>()> fraction = {};
};

/// The records of a file. The reader must outlive the source.
RecordSource source_of(RecordReader& reader);

/// The next record's text, a JSON object, or nothing behind the last one.
using RecordTexts = std::function<std::optional<std::string>()>;

/// Records that no file holds. `name` stands for the input in messages, the number of a text, from
/// 1, for its line. `map` must outlive the source and its records; longer texts than `most_bytes`
/// (0: any) are refused by `parse`.
RecordSource source_of(RecordTexts texts, std::string name, const FieldMap& map,
                       std::size_t most_bytes = default_record_bytes);

/// A RejectRecord decides what becomes of a record that can't be used: it throws the error on, or
/// returns, and the run does without the record. The error names the record's place.
using RejectRecord = std::function<void(const Record& record, const Error& error)>;

/// Parses what source.next() gave, in place, and runs `action` on it. An Error(data) of either
/// rejects the record; then the answer is false.
bool use_record(const RecordSource& source, Record& record, const RejectRecord& reject,
                const std::function<void(const Record&)>& action);

}  // namespace gist
