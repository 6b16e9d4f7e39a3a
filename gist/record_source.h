// A record source says where records come from: an input file, or a program's own memory.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "formats/records/record_reader.h"

namespace gist {

/// Records, one after the other. The functions are called on the thread that called the library.
struct RecordSource {
  /// The input's name for messages, as in "prompts.jsonl:3: ...".
  std::string name;
  /// Gives the next record, perhaps not parsed yet, or nothing at the end. Ordinals count from 0 and
  /// lines from 1, both rising. What it throws ends the run.
  std::function<std::optional<Record>()> next;
  /// Parses what `next` gave. An Error(data) rejects the record alone.
  std::function<Record(Record record)> parse;
  /// Tells how much of the input `next` has given, from 0 to 1. It may be empty, and may not know.
  std::function<std::optional<double>()> fraction = {};
};

/// The records of a file. The reader must outlive the source.
RecordSource source_of(RecordReader& reader);

/// A prompt that a program holds in memory, in UTF-8.
struct PromptText {
  std::string id;  // "": the SHA-256 of the stripped instruction, as where a record has no id
  std::string instruction;
};

/// Prompts in memory, as records with the fields "id" and "instruction". They must outlive the
/// source. Messages name prompt i, counted from 0, "NAME:i+1".
RecordSource source_of(std::span<const PromptText> prompts, std::string name = "prompts");
/// The same from a function that gives the next prompt, or nothing at the end.
RecordSource source_of(std::function<std::optional<PromptText>()> next,
                       std::string name = "prompts");

}  // namespace gist
