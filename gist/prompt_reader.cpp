#include "gist/prompt_reader.h"

#include <iterator>
#include <map>
#include <utility>

#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {

PromptReader::PromptReader(RecordSource records, const ModelFiles& files, const ModelSpec& spec,
                           const CompressionTask& task, PromptEvents events)
    : records_(std::move(records)),
      files_(&files),
      spec_(&spec),
      task_(&task),
      events_(std::move(events)),
      gist_ids_(task.gist_tokens > 0 ? gist_ids_of(files) : GistIds()) {}

std::optional<Prompt> PromptReader::next() {
  while (std::optional<Record> record = next_record()) {
    if (record->ordinal % task_->shard.count != task_->shard.index) continue;
    Prompt prompt;
    prompt.source = std::move(*record);
    prompt.record.ordinal = prompt.source.ordinal;
    try {
      Record& source = prompt.source;
      source = records_.parse(source);
      if (!understand(prompt)) continue;
      ++used_;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      const Error in_place = placed(error, records_.name, prompt.source);
      reject(prompt.source, in_place);
      prompt.record = StagedRecord{};
      prompt.record.ordinal = prompt.source.ordinal;
      prompt.record.status = StagedRecord::Status::rejected;
      prompt.record.reason = in_place.what();
      prompt.source.text = std::string();
    }
    prompt.source.fields = nullptr;  // all is read of it, and batches may hold many
    return prompt;
  }
  return std::nullopt;
}

std::optional<Record> PromptReader::next_record() {
  if (!held_) return records_.next();
  if (next_held_ == held_->size()) return std::nullopt;
  return (*held_)[next_held_++];
}

std::optional<double> PromptReader::fraction() const {
  if (!held_) return records_.fraction ? records_.fraction() : std::nullopt;
  return held_->empty() ? 1.0
                        : static_cast<double>(next_held_) / static_cast<double>(held_->size());
}

void PromptReader::reject(const Record& record, const Error& error) const {
  if (!events_.reject) throw error;
  events_.reject(record, error);
}

void PromptReader::ask(const QuestionReader& questions, std::optional<std::size_t> sample) {
  questions_ = &questions;
  if (sample) asked_ids_ = ids_with_smallest_hashes(*sample);
}

std::unordered_set<std::string> PromptReader::ids_with_smallest_hashes(std::size_t count) {
  std::vector<Record> records;
  while (std::optional<Record> record = records_.next()) records.push_back(std::move(*record));
  held_ = std::move(records);
  std::map<Sha256, std::string> smallest;
  for (const Record& record : *held_) {
    StagedRecord prompt;
    try {
      identify(records_.parse(record), prompt);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      continue;  // next() says so
    }
    if (task_->known != nullptr && task_->known->find(prompt.id)) continue;
    smallest.emplace(sha256(prompt.id), prompt.id);
    if (smallest.size() > count) smallest.erase(std::prev(smallest.end()));
  }
  std::unordered_set<std::string> ids;
  for (auto& [hash, id] : smallest) ids.insert(std::move(id));
  return ids;
}

/// Fills in the id and the prompt's hash.
void PromptReader::identify(const Record& source, StagedRecord& record) const {
  const std::string& where = records_.name;
  const std::string_view instruction = strip(source.string("instruction"));
  if (instruction.empty()) {
    fail(ErrorKind::data, "{}:{}: field \"instruction\" is empty: there is nothing to compress",
         where, source.line);
  }
  record.prompt_sha256 = sha256(instruction);
  record.id = id_field(source, "id", where).value_or(to_hex(record.prompt_sha256));
}

/// Fills in everything but the row. False: the record is left out.
bool PromptReader::understand(Prompt& prompt) {
  const Record& source = prompt.source;
  const std::string& where = records_.name;
  StagedRecord& record = prompt.record;
  identify(source, record);

  const auto seen = seen_.find(record.id);
  if (seen != seen_.end()) {
    if (seen->second.prompt_sha256 != record.prompt_sha256) {
      fail(ErrorKind::data,
           "{}:{}: id {} stands for another prompt on line {}: give each its own id", where,
           source.line, in_quotes(record.id), seen->second.line);
    }
    record.status = StagedRecord::Status::duplicate;
    return true;
  }
  if (const GistStore* known = task_->known) {
    if (const std::optional<std::uint64_t> row = known->find(record.id)) {
      const StoreRow there = known->row(*row);
      if (there.prompt_sha256 != record.prompt_sha256) {
        fail(ErrorKind::data, "{}:{}: id {} stands for another prompt in {}: give it another id",
             where, source.line, in_quotes(record.id), known->path().string());
      }
      record.status = StagedRecord::Status::known;
      record.row = *row;
      record.prompt_tokens = there.prompt_tokens;
      record.gist_tokens = there.gist_tokens;
      record.position = there.position;
      return true;
    }
  }
  if (!tokenise(prompt)) return false;
  const bool asked = questions_ != nullptr && (!asked_ids_ || asked_ids_->contains(record.id));
  if (asked) prompt.question = questions_->read(source, record, where);
  seen_.emplace(record.id, Seen{record.prompt_sha256, source.line});
  return true;
}

/// False: the record is longer than the task takes.
bool PromptReader::tokenise(Prompt& prompt) const {
  const Record& source = prompt.source;
  const std::vector<std::int32_t> before = task_->prompt_template.before_gist(
      files_->tokenizer, [&source](std::string_view field) { return source.string(field); });
  const auto prompt_tokens = static_cast<std::int32_t>(before.size());
  const std::int32_t tokens = prompt_tokens + task_->gist_tokens;
  if (task_->max_tokens > 0 && tokens > task_->max_tokens) {
    const RecordPlace place{records_.name, source.line, source.ordinal};
    if (events_.left_out) events_.left_out({place, tokens, std::nullopt});
    return false;
  }
  if (spec_->max_positions > 0 && tokens > spec_->max_positions) {
    fail(ErrorKind::data,
         "{}:{}: the prompt and its gist take {} tokens, but the model has {} positions; "
         "a limit of {} tokens (--max-tokens {}) leaves longer ones out",
         records_.name, source.line, tokens, spec_->max_positions, spec_->max_positions,
         spec_->max_positions);
  }
  prompt.sequence = join(before, gist_ids_, task_->gist_tokens, {});
  prompt.kept = {task_->full_prompt ? 0 : prompt_tokens, tokens};
  prompt.record.prompt_tokens = static_cast<std::uint32_t>(prompt_tokens);
  prompt.record.gist_tokens = static_cast<std::uint32_t>(prompt.kept.end - prompt.kept.begin);
  prompt.record.position = static_cast<std::uint32_t>(prompt.kept.begin);
  return true;
}

bool fits(const BatchLimits& limits, std::int32_t tokens, std::size_t records, const Prompt& next) {
  return records == 0 ||
         (records < limits.records && tokens + next.sequence.tokens() <= limits.tokens);
}

}  // namespace gist
