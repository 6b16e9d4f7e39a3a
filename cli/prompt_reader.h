// Prompts to compress: records, tokenised, checked, and told apart from those seen before.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "cli/engine.h"
#include "cli/left_out.h"
#include "cli/record_reader.h"
#include "core/batch.h"
#include "formats/gist_store.h"
#include "formats/staging.h"

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
};

class PromptReader {
 public:
  /// `known` may be null. All must outlive the reader.
  PromptReader(RecordReader& records, Rejects& rejects, const ModelFiles& files,
               const ModelSpec& spec, const CompressionTask& task, LeftOutList& left_out,
               const GistStore* known);

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
  bool tokenise(Prompt& prompt) const;

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
};

/// Gathers prompts into batches, by the order of the input alone: a batch is full before the prompt
/// that would exceed `batch_tokens`.
struct BatchLimits {
  std::int32_t tokens = 0;
  std::size_t records = 0;
};
bool fits(const BatchLimits& limits, std::int32_t tokens, std::size_t records, const Prompt& next);

}  // namespace gist
