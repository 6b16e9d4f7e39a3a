// Prompts to compress: records, tokenised, checked, and told apart from those seen before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "cli/left_out.h"
#include "cli/model_options.h"
#include "cli/rejects.h"
#include "core/batch.h"
#include "formats/records/record_reader.h"
#include "formats/sequences/question.h"
#include "formats/store/gist_store.h"
#include "formats/store/staging.h"

namespace gist {

/// Shard i of n has the records whose ordinal is i modulo n.
struct Shard {
  std::uint64_t index = 0;
  std::uint64_t count = 1;
};

/// What compress is to make of each prompt.
struct CompressionTask {
  Condition condition = Condition::gist;  // pos for full prompts
  std::int32_t gist_tokens = 0;
  bool full_prompt = false;  // keep every token, not only the gist's
  PromptTemplate prompt_template = PromptTemplate::decoder_default();
  Shard shard;
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

class PromptReader {
 public:
  /// `known` may be null. All must outlive the reader.
  PromptReader(RecordReader& records, Rejects& rejects, const ModelFiles& files,
               const ModelSpec& spec, const CompressionTask& task, LeftOutList& left_out,
               const GistStore* known);

  /// Has prompts come with their questions (the reader must outlive this one): all of them, or,
  /// with a `sample`, that many, drawn from all shards' prompts that are not known: those whose ids
  /// have the smallest SHA-256. So neither order, batches nor shards change the sample, and a
  /// longer input asks no prompt of a shorter one that was not asked then. A sample reads the whole
  /// input first.
  void ask(const QuestionReader& questions, std::optional<std::size_t> sample);
  /// The next prompt of the shard, or nothing at the end. Those that are too long are left out; one
  /// that is known already never is. A record that can't be used comes with
  /// status rejected where the run keeps going, and ends it otherwise.
  std::optional<Prompt> next();
  /// How many prompts it has given that were not rejected.
  std::uint64_t used() const { return used_; }
  /// Says that a prompt that was to be stored was rejected after all: the same id may come again.
  void forget(const std::string& id) { seen_.erase(id); }

 private:
  bool understand(Prompt& prompt);
  void identify(const Record& source, StagedRecord& record) const;
  bool tokenise(Prompt& prompt) const;
  std::unordered_set<std::string> ids_with_smallest_hashes(std::size_t count);

  struct Seen {
    Sha256 prompt_sha256;
    std::uint64_t line;
  };
  RecordReader* records_;
  Rejects* rejects_;
  const ModelFiles* files_;
  const ModelSpec* spec_;
  const CompressionTask* task_;
  LeftOutList* left_out_;
  const GistStore* known_;
  std::int32_t gist_token_ = -1;
  std::uint64_t used_ = 0;
  std::unordered_map<std::string, Seen> seen_;
  const QuestionReader* questions_ = nullptr;                 // null: nothing is asked
  std::optional<std::unordered_set<std::string>> asked_ids_;  // nothing: all
};

/// Gathers prompts into batches, by the order of the input alone: a batch is full before the prompt
/// that would exceed `batch_tokens`.
struct BatchLimits {
  std::int32_t tokens = 0;
  std::size_t records = 0;
};
bool fits(const BatchLimits& limits, std::int32_t tokens, std::size_t records, const Prompt& next);

}  // namespace gist
