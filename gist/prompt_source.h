// Prompts in a program's memory, as a source of records.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>

#include "formats/records/record_source.h"

namespace gist {

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
