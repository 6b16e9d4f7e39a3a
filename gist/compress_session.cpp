#include "gist/compress_session.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

using Status = StagedRecord::Status;

std::string_view name_of(Status status) {
  switch (status) {
    case Status::stored:
      return "stored";
    case Status::duplicate:
      return "duplicate";
    case Status::known:
      return "known";
    case Status::rejected:
      return "rejected";
  }
  return "";
}

/// Takes over what a duplicate shares with the record that has its row.
void share_row(StagedRecord& duplicate, const StagedRecord& stored) {
  duplicate.row = stored.row;
  duplicate.prompt_tokens = stored.prompt_tokens;
  duplicate.gist_tokens = stored.gist_tokens;
  duplicate.position = stored.position;
}

[[noreturn]] void another_input(const std::string& input, const Prompt& prompt,
                                std::string_view found) {
  fail(
      ErrorKind::data,
      "{}:{}: this is not the input that was compressed before: {}; give that input, or start anew "
      "(--force)",
      input, prompt.source.line, found);
}

std::string rejected_before(const std::string& id) {
  return fmt::format("id {} was rejected before", in_quotes(id));
}

Error rejection_of(const Prompt& prompt, const std::string& input, std::string_view reason) {
  return {ErrorKind::data, fmt::format("{}:{}: {}", input, prompt.source.line, reason)};
}

}  // namespace

std::string receipt(const StagedRecord& record) {
  return text_of_json(nlohmann::ordered_json{{"id", record.id},
                                             {"row", record.row},
                                             {"ordinal", record.ordinal},
                                             {"prompt_tokens", record.prompt_tokens},
                                             {"gist_tokens", record.gist_tokens},
                                             {"prompt_sha256", to_hex(record.prompt_sha256)},
                                             {"status", name_of(record.status)}});
}

CompressSession::CompressSession(Compressor& compressor, PromptReader& prompts, Staging& staging,
                                 const BatchLimits& limits, const CompressEvents& events)
    : compressor_(compressor),
      prompts_(prompts),
      staging_(staging),
      limits_(limits),
      events_(events),
      window_(compressor.spec(),
              [&events](const std::string& line) { events.run.tell(LogLevel::warning, line); }) {}

std::uint64_t& CompressTally::of(Status status) {
  switch (status) {
    case Status::duplicate:
      return duplicate;
    case Status::known:
      return known;
    case Status::rejected:
      return rejected;
    case Status::stored:
      break;
  }
  return stored;
}

bool CompressSession::run() {
  std::vector<StagedRecord> staged;
  staging_.for_each_record([&staged](const StagedRecord& record) { staged.push_back(record); });
  while (std::optional<Prompt> prompt = prompts_.next()) {
    if (records_ < staged.size()) {
      check_staged(*prompt, staged[records_++]);
      if (events_.staged_before) events_.staged_before(records_, prompts_.fraction());
      continue;
    }
    ++records_;
    if (!fits(limits_, batch_tokens_, batch_.size(), *prompt)) flush();
    if (events_.run.stops()) return false;
    batch_fraction_ = prompts_.fraction();
    batch_tokens_ += prompt->sequence.tokens();
    batch_.push_back(std::move(*prompt));
    // Where a batch has one record, the receipt comes before the next record is read.
    if (limits_.records == 1) flush();
  }
  if (events_.run.stops()) return false;
  if (records_ < staged.size()) {
    fail(ErrorKind::data,
         "{}: this is not the input that was compressed before: it ends after {}, of {} that were "
         "staged; give that input, or start anew (--force)",
         prompts_.name(), counted(records_, "record"), staged.size());
  }
  flush();
  if (events_.input_done) events_.input_done();
  return !events_.run.stops();
}

void CompressSession::check_staged(const Prompt& prompt, const StagedRecord& staged) {
  const StagedRecord& found = prompt.record;
  const bool same = found.ordinal == staged.ordinal && found.id == staged.id &&
                    found.prompt_sha256 == staged.prompt_sha256;
  if (!same) {
    another_input(prompts_.name(), prompt,
                  fmt::format("record {} was staged with id {}, and is {} here", staged.ordinal,
                              in_quotes(staged.id), in_quotes(found.id)));
  }
  check_limit(staged);
  tell(staged);
  if (staged.status != Status::rejected) return;
  if (found.status == Status::rejected) return;  // the reader has said so
  if (found.status == Status::stored && !staged.checked) prompts_.forget(found.id);
  prompts_.reject(prompt.source, Error(ErrorKind::data, staged.reason));
}

/// Checks that what is staged is what this run makes: max_kl may change where that changes nothing.
void CompressSession::check_limit(const StagedRecord& staged) const {
  const PromptChecker* checker = compressor_.checker();
  if (checker == nullptr || !staged.checked) return;
  const bool rejected = staged.status == Status::rejected;
  if (checker->refuses(*staged.checked) == rejected) return;
  fail(ErrorKind::usage,
       "id {} was {} at a KL divergence of {:.4g} nats a token, which a limit of {:.4g} (--max-kl "
       "{:.4g}) would not do: give the limit that the run was begun with, or start anew (--force)",
       in_quotes(staged.id), rejected ? "rejected" : "stored", staged.checked->per_label(),
       checker->max_kl(), checker->max_kl());
}

/// Computes the batch, makes it durable, then tells of it.
void CompressSession::flush() {
  if (batch_.empty()) return;
  const CompressStepScope step(events_, CompressStep::batch);
  std::vector<CompressedPrompt> compressed = compressor_.compress(batch_);
  Settled settled;
  auto computed = compressed.begin();
  for (const Prompt& prompt : batch_) {
    if (prompt.record.status == Status::stored) {
      window_.prompt_and_gist(prompt.sequence, prompts_.name(), prompt.source.line);
      settle_stored(prompt, *computed++, settled);
    } else if (prompt.record.status == Status::duplicate) {
      settle_duplicate(prompt, settled);
    } else {
      settled.records.push_back(prompt.record);
    }
  }
  staging_.commit(settled.records, settled.rows);
  for (const StagedRecord& record : settled.records) tell(record);
  batch_.clear();
  batch_tokens_ = 0;
  if (events_.progress) events_.progress(tally_.records(), batch_fraction_);
}

void CompressSession::settle_stored(const Prompt& prompt, CompressedPrompt& compressed,
                                    Settled& settled) {
  StagedRecord record = prompt.record;
  if (!compressed.objection.empty()) {
    // A prompt that compresses badly is not tried again with another input: the result would depend
    // on how the records were batched.
    if (!compressed.checked) prompts_.forget(record.id);
    return settle_rejected(prompt, compressed.objection, settled, compressed.checked);
  }
  settled.rows.push_back({{record.id, record.gist_tokens, record.position, record.ordinal,
                           record.prompt_tokens, record.prompt_sha256},
                          std::move(compressed.activations)});
  record.checked = compressed.checked;
  record.row = staging_.rows() + settled.rows.size() - 1;
  settled.stored.emplace(record.id, settled.records.size());
  settled.records.push_back(std::move(record));
}

/// A duplicate has the row of the record before it, in this batch or an earlier one.
void CompressSession::settle_duplicate(const Prompt& prompt, Settled& settled) {
  StagedRecord record = prompt.record;
  const auto here = settled.stored.find(record.id);
  const std::optional<StagedRecord> before =
      here == settled.stored.end() ? staging_.find_id(record.id) : settled.records[here->second];
  if (!before) {
    return settle_rejected(prompt, rejected_before(record.id), settled);
  }
  share_row(record, *before);
  settled.records.push_back(std::move(record));
}

void CompressSession::settle_rejected(const Prompt& prompt, std::string_view reason,
                                      Settled& settled, const std::optional<Fidelity>& checked) {
  StagedRecord record = prompt.record;
  record.status = Status::rejected;
  record.checked = checked;
  const Error rejection = rejection_of(prompt, prompts_.name(), reason);
  record.reason = rejection.what();
  prompts_.reject(prompt.source, rejection);
  settled.records.push_back(std::move(record));
}

void CompressSession::tell(const StagedRecord& record) {
  ++tally_.of(record.status);
  if (events_.record) events_.record(record);
}

bool tell_finished_store(const GistStore& store, PromptReader& prompts,
                         const LateRejection& rejection, const CompressEvents& events) {
  const std::string& input = prompts.name();
  std::uint64_t stored = 0;
  std::unordered_set<std::string> rejected;
  while (std::optional<Prompt> prompt = prompts.next()) {
    StagedRecord& record = prompt->record;
    if (record.status == Status::rejected) continue;
    if (record.status != Status::known) {
      const std::optional<std::uint64_t> row = store.find(record.id);
      if (!row) {
        const std::optional<std::string> reason =
            rejected.contains(record.id) ? rejected_before(record.id) : rejection(*prompt);
        if (reason) {
          rejected.insert(record.id);
          prompts.reject(prompt->source, rejection_of(*prompt, input, *reason));
          continue;
        }
        another_input(input, *prompt,
                      fmt::format("{} has no id {}", store.path().string(), in_quotes(record.id)));
      }
      const StoreRow there = store.row(*row);
      const bool first = record.status == Status::stored;
      if (there.prompt_sha256 != record.prompt_sha256 ||
          (first && there.ordinal != record.ordinal)) {
        another_input(input, *prompt,
                      fmt::format("id {} is another record in {}", in_quotes(record.id),
                                  store.path().string()));
      }
      record.row = *row;
      record.prompt_tokens = there.prompt_tokens;
      record.gist_tokens = there.gist_tokens;
      if (first) ++stored;
    }
    if (events.record) events.record(record);
  }
  if (events.run.stops()) return false;
  if (stored != store.rows()) {
    fail(ErrorKind::data,
         "{}: this is not the input that was compressed before: {} has {}, and {} of them "
         "stand here",
         input, store.path().string(), counted(store.rows(), "row"), stored);
  }
  if (events.input_done) events.input_done();
  return true;
}

}  // namespace gist
