// A context is what stands before an answer: a record's prompt and input as tokens, perhaps behind
// a stored gist.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/batch.h"
#include "core/generate.h"
#include "formats/model/model_files.h"
#include "formats/model/named_templates.h"
#include "formats/records/jsonl.h"
#include "formats/sequences/gisting.h"
#include "formats/store/gist_store.h"

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

/// The context of an input behind a stored gist of so many tokens, the first of which stood at
/// `position`. `fields` gives what the template asks for after the gist.
Context context_behind_gist(const PromptTemplate& prompt_template, const Tokenizer& tokenizer,
                            std::int32_t tokens, std::int32_t position, const FieldLookup& fields);
/// Throws Error(data), `place` first, for a context without tokens.
void check_tokens(const Context& context, const std::string& place);
/// Throws Error(data), `place` first, where the model has no position left for an answer.
void check_room(const Context& context, const ModelSpec& spec, const std::string& place);

/// ContextSource is what contexts are made of: a store, or else what is known about gisting.
struct ContextSource {
  std::optional<std::filesystem::path> store;
  StoreReading reading;         // how the store is opened
  bool allow_mismatch = false;  // the store may be another model's of the same shape
  /// `gisting` says, where there is no store, how "instruction" is read; it is empty where only
  /// {"text"} will come.
  std::optional<Gisting> gisting;
};

/// Turns records into contexts, with a store:
///   {"gist": ID, "input"}, or {"instruction", "input"}, found by its prompt's hash
/// and without:
///   {"instruction", "input"}, under the condition of `gisting`
///   {"text"}: bos and the text, no gist, no mask
class ContextReader {
 public:
  /// Opens and checks the store. Throws Error(usage) where a condition has too few gist tokens, and
  /// as GistStore and check_made_with do. `files` and `spec` must outlive the reader.
  ContextReader(const ModelFiles& files, const ModelSpec& spec, const ContextSource& source);

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
  /// Returns how "instruction" is read; nothing where that isn't known, or a store is used.
  const std::optional<Gisting>& gisting_used() const { return gisting_; }
  /// Lower-case hex (formats/store/store_digest.h); "" without a store.
  std::string store_digest() const;
  /// Under which condition records are read. Throws Error(usage) where nothing says it.
  Condition condition() const;
  std::int64_t gist_tokens() const;
  /// The dtype of the store; f32 where there is none.
  Dtype store_dtype() const { return store_ ? store_->header().dtype : Dtype::f32; }

 private:
  Context behind_store(const Record& record, const std::string& where) const;
  Context under_condition(const Record& record) const;
  Context of_text(const Record& record) const;
  std::uint64_t row_of(const Record& record, const std::string& where) const;
  const Gisting& gisting() const;

  const ModelFiles* files_;
  const ModelSpec* spec_;
  std::optional<GistStore> store_;
  PromptTemplate template_ = decoder_template();
  std::optional<Gisting> gisting_;
  GistIds gist_ids_;
  std::unordered_map<std::uint64_t, std::weak_ptr<const GistActivations>> in_use_;
  std::size_t forget_at_ = 256;  // rows in in_use_, when those that nobody uses any more go
};

/// `stored` is what ContextReader::stored gave; it must outlive the request.
GenerationRequest request_for(const Context& context, const GistActivations* stored,
                              std::uint64_t ordinal);

}  // namespace gist
