// Prompts to compress: records, tokenised, checked, and told apart from those seen before.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/batch.h"
#include "formats/model/named_templates.h"
#include "formats/records/left_out.h"
#include "formats/records/record_source.h"
#include "formats/sequences/question.h"
#include "formats/store/gist_store.h"
#include "formats/store/staging.h"
#include "gist/prompt_source.h"

namespace gist {

/// Shard i of n has the records whose ordinal is i modulo n.
struct Shard {
  std::uint64_t index = 0;
  std::uint64_t count = 1;
};

/// CompressionTask says what compress is to make of each prompt.
struct CompressionTask {
  Condition condition = Condition::gist;  // pos for full prompts
  std::int32_t gist_tokens = 0;
  bool full_prompt = false;  // keep every token, not only the gist's
  PromptTemplate prompt_template = decoder_template();
  Shard shard;
  std::int64_t max_tokens = 0;       // longer prompts, with their gist, are left out; 0: none
  const GistStore* known = nullptr;  // prompts that stand in it are not compressed again
};

/// A record of the input. `record.status` is what it will be, if nothing else comes in between: its
/// row is not decided yet.
struct Prompt {
  StagedRecord record;
  Record source;
  Sequence sequence;  // of a stored one, with the tokens that are kept
  Interval kept;
  std::optional<Question> question;  // of a stored one that is to be checked
};

/// PromptEvents decide what becomes of records that are not compressed. Both are called on the
/// thread that reads.
struct PromptEvents {
  /// A record can't be used. It may throw the error on, which ends the run. Where it is empty, the
  /// first such record ends the run.
  RejectRecord reject = {};
  /// A record is longer than the task's max_tokens. It may be empty.
  std::function<void(const LeftOut& record)> left_out = {};
};

class PromptReader {
 public:
  /// `files`, `spec` and `task`, and what the source points to, must outlive the reader. Throws
  /// Error(data) where the task has gist tokens and the tokenizer has none.
  PromptReader(RecordSource records, const ModelFiles& files, const ModelSpec& spec,
               const CompressionTask& task, PromptEvents events = {});

  /// Has prompts come with their questions (the reader must outlive this one): all of them, or,
  /// with a `sample`, that many, drawn from all shards' prompts that are not known: those whose ids
  /// have the smallest SHA-256. So neither order, batches nor shards change the sample, and a
  /// longer input asks no prompt of a shorter one that was not asked then. A sample reads the whole
  /// input first, into memory.
  void ask(const QuestionReader& questions, std::optional<std::size_t> sample);
  /// The next prompt of the shard, or nothing at the end. Those that are too long are left out; one
  /// that is known already never is. A record that can't be used comes with
  /// status rejected where the run keeps going, and ends it otherwise.
  std::optional<Prompt> next();
  /// Returns how many prompts it has given that were not rejected.
  std::uint64_t used() const { return used_; }
  /// Says that a prompt that was to be stored was rejected after all: the same id may come again.
  void forget(const std::string& id) { seen_.erase(id); }
  /// Rejects a record that next() gave. Throws the error on where the run doesn't keep going.
  void reject(const Record& record, const Error& error) const;
  /// Whether records can be rejected without an end of the run, as far as the reader knows.
  bool may_reject() const { return events_.reject != nullptr; }
  /// The input's name, for messages.
  const std::string& name() const { return records_.name; }
  /// Returns how much of the input is done, from 0 to 1; nothing where that isn't known.
  std::optional<double> fraction() const;

 private:
  std::optional<Record> next_record();
  bool understand(Prompt& prompt);
  void identify(const Record& source, StagedRecord& record) const;
  bool tokenise(Prompt& prompt) const;
  std::unordered_set<std::string> ids_with_smallest_hashes(std::size_t count);

  struct Seen {
    Sha256 prompt_sha256;
    std::uint64_t line;
  };
  RecordSource records_;
  const ModelFiles* files_;
  const ModelSpec* spec_;
  const CompressionTask* task_;
  PromptEvents events_;
  GistIds gist_ids_;
  std::uint64_t used_ = 0;
  std::unordered_map<std::string, Seen> seen_;
  std::optional<std::vector<Record>> held_;  // the whole input, where a sample was drawn from it
  std::size_t next_held_ = 0;
  const QuestionReader* questions_ = nullptr;                 // null: nothing is asked
  std::optional<std::unordered_set<std::string>> asked_ids_;  // nothing: all
};

/// Gathers prompts into batches, by the order of the input alone: a batch is full before the prompt
/// that would exceed `tokens`, or after `records` records.
struct BatchLimits {
  std::int32_t tokens = 8192;
  std::size_t records = 4096;
};
bool fits(const BatchLimits& limits, std::int32_t tokens, std::size_t records, const Prompt& next);

}  // namespace gist
