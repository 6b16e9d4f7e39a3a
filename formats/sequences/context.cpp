#include "formats/sequences/context.h"

#include <algorithm>
#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/sequences/store_of_model.h"
#include "formats/store/store_digest.h"
#include "kernels/error.h"

namespace gist {
namespace {

FieldLookup fields_of(const Record& record) {
  return [&record](std::string_view name) { return record.string(name); };
}

std::string place_of(const Record& record, const std::string& where) {
  return fmt::format("{}:{}", where, record.line);
}

void check_instruction(const Record& record, const std::string& where) {
  const std::string* instruction = record.find_string("instruction");
  if (instruction != nullptr && strip(*instruction).empty()) {
    fail(ErrorKind::data, "{}:{}: field \"instruction\" is empty: give it a text", where,
         record.line);
  }
}

}  // namespace

Context context_behind_gist(const PromptTemplate& prompt_template, const Tokenizer& tokenizer,
                            std::int32_t tokens, std::int32_t position, const FieldLookup& fields) {
  Context context;
  context.stored_tokens = tokens;
  context.stored_position = position;
  context.kept_tokens = tokens;
  context.sequence.ids = prompt_template.after_gist(tokenizer, fields);
  return context;
}

void check_tokens(const Context& context, const std::string& place) {
  if (context.stored_tokens + context.sequence.tokens() > 0) return;
  fail(ErrorKind::data, "{}: the record has no tokens: there is nothing to continue", place);
}

void check_room(const Context& context, const ModelSpec& spec, const std::string& place) {
  const std::int32_t limit = spec.max_positions;
  if (limit == 0 || context.answer_position() < limit) return;
  fail(ErrorKind::data,
       "{}: {} tokens leave no room for an answer: the model has {} positions; shorten the record",
       place, context.answer_position(), limit);
}

ContextReader::ContextReader(const ModelFiles& files, const ModelSpec& spec,
                             const ContextSource& source)
    : files_(&files), spec_(&spec) {
  if (source.store) {
    store_.emplace(*source.store, source.reading);
    const std::string name = store_->path().string();
    check_made_with(store_->header(), name, files, spec, source.allow_mismatch);
    const std::string place = name + ": attribute template";
    template_ = PromptTemplate::parse(parse_json(store_->header().prompt_template, place), place);
    return;
  }
  // {"text"} records need to know nothing of gisting: that it isn't known is said when it matters.
  if (!source.gisting) return;
  gisting_ = source.gisting;
  template_ = gisting_->prompt_template;
  if (gisting_->gist_tokens < 1 && gisting_->condition != Condition::pos) {
    fail(ErrorKind::usage, "condition {} needs at least one gist token, found {}",
         name_of(gisting_->condition), gisting_->gist_tokens);
  }
  if (gisting_->gist_tokens > 0) gist_ids_ = gist_ids_of(files);
}

Context ContextReader::read(const Record& record, const std::string& where) const {
  Context context = read_any_length(record, where);
  check_room(context, *spec_, place_of(record, where));
  return context;
}

Context ContextReader::read_any_length(const Record& record, const std::string& where) const {
  const bool text = record.find_string("text") != nullptr;
  const bool instruction = record.find_string("instruction") != nullptr;
  if (!store_ && text && instruction) {
    fail(ErrorKind::data,
         "{}:{}: the record has both \"text\" and \"instruction\": give one of them", where,
         record.line);
  }
  check_instruction(record, where);
  Context context = store_ ? behind_store(record, where)
                    : text ? of_text(record)
                           : under_condition(record);
  check_tokens(context, place_of(record, where));
  return context;
}

Context ContextReader::behind_store(const Record& record, const std::string& where) const {
  const std::uint64_t number = row_of(record, where);
  const StoreRow row = store_->row(number);
  Context context =
      context_behind_gist(template_, files_->tokenizer, static_cast<std::int32_t>(row.gist_tokens),
                          static_cast<std::int32_t>(row.position), fields_of(record));
  context.store_row = number;
  return context;
}

std::uint64_t ContextReader::row_of(const Record& record, const std::string& where) const {
  if (const std::optional<std::string> id = id_field(record, "gist", where)) {
    if (const std::optional<std::uint64_t> row = store_->find(*id)) return *row;
    fail(ErrorKind::data, "{}:{}: {} has no gist with id {}: compress its prompt first", where,
         record.line, store_->path().string(), in_quotes(*id));
  }
  const std::string* instruction = record.find_string("instruction");
  if (instruction == nullptr) {
    fail(ErrorKind::data,
         "{}:{}: behind a store (--store) a record needs \"gist\", the id of a stored gist, or "
         "\"instruction\"",
         where, record.line);
  }
  if (const auto row = store_->find_prompt(sha256(strip(*instruction)))) return *row;
  fail(ErrorKind::data, "{}:{}: {} has no gist of the instruction {}: compress it first", where,
       record.line, store_->path().string(), in_quotes(*instruction));
}

Context ContextReader::under_condition(const Record& record) const {
  const Gisting& gisting = this->gisting();
  const Tokenizer& tokenizer = files_->tokenizer;
  const FieldLookup fields = fields_of(record);
  const std::vector<std::int32_t> before = template_.before_gist(tokenizer, fields);
  Context context;
  context.condition = gisting.condition;
  context.sequence =
      join(before, gist_ids_, gisting.gist_tokens, template_.after_gist(tokenizer, fields));
  if (gisting.condition != Condition::neg) context.kept_tokens = gisting.gist_tokens;
  if (gisting.condition == Condition::pos) {
    context.kept_tokens += static_cast<std::int32_t>(before.size());
  }
  return context;
}

Context ContextReader::of_text(const Record& record) const {
  const Tokenizer& tokenizer = files_->tokenizer;
  Context context;
  if (tokenizer.adds_bos()) context.sequence.ids.push_back(*tokenizer.bos());
  const std::vector<std::int32_t> text = tokenizer.encode(record.string("text"));
  context.sequence.ids.insert(context.sequence.ids.end(), text.begin(), text.end());
  if (spec_->encoder_decoder()) {  // it is answered, not continued
    if (tokenizer.eos()) context.sequence.ids.push_back(*tokenizer.eos());
    return context;
  }
  context.text_bytes = tokenizer.decode(context.sequence.ids).size();
  return context;
}

std::string ContextReader::store_digest() const {
  return store_ ? to_hex(gist::store_digest(*store_)) : "";
}

const Gisting& ContextReader::gisting() const {
  if (!gisting_) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says how the model was trained: give the condition and the "
         "number of gist tokens (--condition, --gist-tokens), or a store (--store)",
         files_->path);
  }
  return *gisting_;
}

std::shared_ptr<const GistActivations> ContextReader::stored(const Context& context) {
  if (!context.store_row) return nullptr;
  if (in_use_.size() >= forget_at_) {
    std::erase_if(in_use_, [](const auto& entry) { return entry.second.expired(); });
    forget_at_ = std::max(forget_at_, 2 * in_use_.size());
  }
  std::weak_ptr<const GistActivations>& known = in_use_[*context.store_row];
  std::shared_ptr<const GistActivations> activations = known.lock();
  if (!activations) {
    activations = std::make_shared<GistActivations>(store_->activations(*context.store_row));
    known = activations;
  }
  return activations;
}

Condition ContextReader::condition() const {
  if (!store_) return gisting().condition;
  const std::string& name = store_->header().condition;
  const std::optional<Condition> condition = condition_named(name);
  if (!condition) {
    fail(ErrorKind::data, "{}: attribute condition: expected gist, pos or neg, found {}",
         store_->path().string(), in_quotes(name));
  }
  return *condition;
}

std::int64_t ContextReader::gist_tokens() const {
  return store_ ? store_->header().gist_tokens : gisting().gist_tokens;
}

GenerationRequest request_for(const Context& context, const GistActivations* stored,
                              std::uint64_t ordinal) {
  GenerationRequest request;
  request.sequence = context.sequence;
  request.condition = context.condition;
  request.stored = stored;
  request.stored_position = context.stored_position;
  request.ordinal = ordinal;
  return request;
}

}  // namespace gist
