// A question is what a compressed prompt is checked with: the input with which it is answered, and
// perhaps the answer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/batch.h"
#include "formats/model/model_files.h"
#include "formats/records/jsonl.h"
#include "formats/sequences/gisting.h"
#include "formats/store/staging.h"

namespace gist {

/// Tokens of an answer that is not in the record.
constexpr std::int32_t longest_own_answer = 24;

struct Question {
  Sequence full_prompt;              // as the reference reads it, with the input: up to the answer
  std::vector<std::int32_t> input;   // what follows the gist, up to the answer
  std::vector<std::int32_t> answer;  // with its eos; empty: the reference's own is taken
  std::int32_t room = 0;             // labels for which both models have positions
};

/// Reading says how a model reads a record.
struct Reading {
  const ModelFiles* files = nullptr;
  const ModelSpec* spec = nullptr;
  const PromptTemplate* layout = nullptr;
  std::int32_t gist_tokens = 0;  // after the prompt
  GistIds gist_ids = {};         // of those
};

class QuestionReader {
 public:
  /// All that they name must outlive the reader.
  QuestionReader(const Reading& reference, const Reading& gist)
      : reference_(reference), gist_(gist) {}

  /// The question of a record that is to be stored as `prompt`: its "output" is the answer, unless
  /// it is missing or empty; what else the templates ask for after the gist ("input") is empty
  /// where it is missing. Throws Error(data), naming the line, where a field is no string or a
  /// model has no position left for the answer.
  Question read(const Record& record, const StagedRecord& prompt, const std::string& where) const;

 private:
  Reading reference_;
  Reading gist_;
};

}  // namespace gist
