// What stands before an answer: a record's prompt and input as tokens, perhaps behind a stored
// gist.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/engine.h"
#include "core/batch.h"
#include "core/generate.h"
#include "formats/gist_store.h"
#include "formats/jsonl.h"

namespace gist {

struct Context {
  Sequence sequence;  // what the model reads; with a stored gist, what follows it
  Condition condition = Condition::pos;    // of the sequence
  std::optional<std::uint64_t> store_row;  // of the stored gist
  std::int32_t stored_tokens = 0;
  std::int32_t stored_position = 0;
  std::int32_t kept_tokens = 0;           // tokens before the input that the answer can see
  std::optional<std::size_t> text_bytes;  // of a {"text"} record: how long its text decodes

  /// The position at which the answer begins.
  std::int32_t answer_position() const {
    return stored_position + stored_tokens + sequence.tokens();
  }
};

/// --store, --condition, --gist-tokens, --allow-mismatch, --store-cache, --trust-store.
std::vector<OptionSpec> context_options();

/// Turns records into contexts, with --store:
///   {"gist": ID, "input"}, or {"instruction", "input"}, found by its prompt's hash
/// and without:
///   {"instruction", "input"}, under the condition that options or gist.json name
///   {"text"}: bos and the text, no gist, no mask
class ContextReader {
 public:
  /// Opens and checks the store. Throws Error(usage) for options that contradict each other.
  /// `files` and `spec` must outlive the reader.
  ContextReader(const ModelFiles& files, const ModelSpec& spec, const Options& options);

  /// Throws Error(data), naming the line, for a record that lacks a field, an unknown gist, or a
  /// context after which the model has no position left; Error(usage) where nothing says under
  /// which condition to read the record.
  Context read(const Record& record, const std::string& where) const;
  /// The same, however many positions the context takes.
  Context read_any_length(const Record& record, const std::string& where) const;
  /// The stored gist, shared by all contexts that use it at the same time; null where there is
  /// none.
  std::shared_ptr<const GistActivations> stored(const Context& context);

  const PromptTemplate& prompt_template() const { return template_; }
  /// What options or gist.json say of gisting; nothing where neither does, or a store is used.
  const std::optional<GistOptions>& gist_options_used() const { return gisting_; }
  /// Lower-case hex (formats/store_digest.h); "" without a store.
  std::string store_digest() const;
  /// Under which condition records are read. Throws Error(usage) where nothing says it.
  Condition condition() const;
  std::int64_t gist_tokens() const;
  /// Of the store; f32 where there is none.
  Dtype store_dtype() const { return store_ ? store_->header().dtype : Dtype::f32; }

 private:
  Context behind_store(const Record& record, const std::string& where) const;
  Context under_condition(const Record& record) const;
  Context of_text(const Record& record) const;
  std::uint64_t row_of(const Record& record, const std::string& where) const;
  const GistOptions& gisting() const;

  const ModelFiles* files_;
  const ModelSpec* spec_;
  std::optional<GistStore> store_;
  PromptTemplate template_ = PromptTemplate::decoder_default();
  std::optional<GistOptions> gisting_;
  std::int32_t gist_token_ = -1;
  std::unordered_map<std::uint64_t, std::weak_ptr<const GistActivations>> in_use_;
  std::size_t forget_at_ = 256;  // rows in in_use_, when those that nobody uses any more go
};

/// `stored` is what ContextReader::stored gave; it must outlive the request.
GenerationRequest request_for(const Context& context, const GistActivations* stored,
                              std::uint64_t ordinal);

/// Sampling with the gist token banned, and the model's end tokens; greedy where the command has no
/// options for sampling. Reads --max-new-tokens, --batch-rows, --batch-tokens.
GenerationOptions generation_options(const ModelFiles& files, const Options& options);

}  // namespace gist
