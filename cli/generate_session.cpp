#include "cli/generate_session.h"

#include <spdlog/spdlog.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::array added_fields = {"completion", "finish_reason", "completion_tokens"};

/// Fails where the record has a field of its own that the answer would overwrite.
void check_fields_free(const Record& record, const std::string& where) {
  with_fields(record, {{added_fields[0], ""}, {added_fields[1], ""}, {added_fields[2], 0}}, where);
}

/// Whether `line` is what an earlier run answered to this record.
bool answers(const std::string& line, const Record& record, const std::string& where) {
  const Record answer = parse_record(line, where, record.line, record.ordinal);
  nlohmann::ordered_json added;
  for (const char* name : added_fields) {
    const auto field = answer.fields.find(name);
    if (field == answer.fields.end()) return false;
    added[name] = *field;
  }
  return with_fields(record, added, where) == line;
}

}  // namespace

GenerateSession::GenerateSession(RecordSource records, Rejects& rejects, ContextReader& contexts,
                                 const Tokenizer& tokenizer, const CompletionOutput& output,
                                 const std::vector<std::string>& stops, const Signals& signals)
    : records_(std::move(records)),
      rejects_(rejects),
      contexts_(contexts),
      tokenizer_(tokenizer),
      output_(output),
      stops_(stops),
      signals_(signals) {
  if (!output_.streams) progress_.emplace("record");
  if (output_.file != nullptr) written_ = output_.file->next_written();
}

void GenerateSession::run(const Model& model, const GenerationOptions& options) {
  signals_.begin_work();
  TextEvents events;
  events.next = [this]() -> std::optional<TextRequest> {
    std::optional<Pending> next = next_or_failure();
    signals_.beat_after_waiting();
    if (!next) return std::nullopt;
    pending_.push_back(std::move(*next));
    return std::exchange(pending_.back().request, std::nullopt);
  };
  if (output_.streams) {
    // A terminal shows answers in the order of the input, and the one that comes next as it grows.
    events.follows = [this](std::uint64_t request) { return request == delivered_; };
    events.text = [this](std::uint64_t, std::string_view settled) {
      show(settled);
      output_.out->flush();
      return true;
    };
  }
  events.done = [this](std::uint64_t request, TextCompletion completion) {
    finish(request, std::move(completion));
  };
  events.interrupted = [this] {
    signals_.beat();
    return signals_.requested() || output_.out->closed();
  };
  window_.emplace(model.spec(), [](const std::string& line) { spdlog::warn("{}", line); });
  longest_answer_ = options.max_new_tokens;
  generate_texts(model, tokenizer_, options, stops_, events);
  if (failure_) std::rethrow_exception(failure_);
}

/// A record that ends the run does so when those before it are answered.
std::optional<GenerateSession::Pending> GenerateSession::next_or_failure() {
  try {
    return next_pending();
  } catch (...) {
    failure_ = std::current_exception();
    return std::nullopt;
  }
}

void GenerateSession::check_finished() {
  const std::optional<Pending> next = next_pending();
  if (!next) return;
  fail(ErrorKind::data,
       "{}:{}: {} was made from another input, which ended before this record; give that input, or "
       "start anew with --force",
       records_.name, next->record.line, output_.file->where());
}

/// The next record that is still to be answered.
std::optional<GenerateSession::Pending> GenerateSession::next_pending() {
  while (std::optional<Record> record = records_.next()) {
    Pending pending;
    const bool good = use_record(records_, *record, rejects_.sink(), [&](const Record& parsed) {
      check_fields_free(parsed, records_.name);
      TextRequest& request = pending.request.emplace();
      request.context = contexts_.read(parsed, records_.name);
      if (!written_) request.stored = contexts_.stored(request.context);
      request.ordinal = parsed.ordinal;
      if (window_) look_at_window(request.context, parsed.line);
    });
    if (!good || written_before(*record)) continue;
    pending.record = std::move(*record);
    pending.fraction = records_.fraction();
    return pending;
  }
  if (!signals_.requested()) no_line_left();
  return std::nullopt;
}

void GenerateSession::look_at_window(const Context& context, std::uint64_t line) {
  const bool stored = context.stored_tokens > 0;
  if (!stored && context.sequence.gists.empty()) return;
  const std::int32_t gist = stored ? context.stored_position : context.sequence.gists[0].begin;
  window_->prompt_and_gist(context.sequence, records_.name, line);
  window_->gist_and_answer(std::int64_t{context.answer_position()} - gist + longest_answer_,
                           records_.name, line);
}

bool GenerateSession::written_before(const Record& record) {
  if (!written_) return false;
  const std::string where = output_.file->where();
  if (!answers(*written_, record, where)) {
    fail(ErrorKind::data,
         "{}:{}: {} has no answer to this record in its place: it was made from another input; "
         "give that input, or start anew with --force",
         records_.name, record.line, where);
  }
  written_ = output_.file->next_written();
  if (progress_) progress_->begin_after(++written_before_, records_.fraction());
  return true;
}

void GenerateSession::no_line_left() {
  if (!written_) return;
  fail(ErrorKind::data,
       "{}: ends too early: {} has more answers, so it was made from another input; give that "
       "input, or start anew with --force",
       records_.name, output_.file->where());
}

GenerateSession::Pending& GenerateSession::pending_of(std::uint64_t request) {
  return pending_[static_cast<std::size_t>(request - delivered_)];
}

void GenerateSession::finish(std::uint64_t request, TextCompletion completion) {
  Pending& pending = pending_of(request);
  pending.completion = std::move(completion);
  pending.finished = true;
  deliver();
}

/// Writes what is finished and has nothing unfinished before it.
void GenerateSession::deliver() {
  std::optional<double> fraction;
  while (!pending_.empty() && pending_.front().finished) {
    const Pending& first = pending_.front();
    if (output_.streams) {
      show(first.completion.text);
      output_.out->text("\n");
    } else {
      output_.out->line(answer(first));
    }
    fraction = first.fraction;
    pending_.pop_front();
    ++delivered_;
    shown_ = 0;
  }
  output_.out->flush();
  if (progress_ && fraction) progress_->update(written_before_ + delivered_, fraction);
}

std::string GenerateSession::answer(const Pending& pending) const {
  return with_fields(pending.record,
                     {{added_fields[0], pending.completion.text},
                      {added_fields[1], name_of(pending.completion.reason)},
                      {added_fields[2], pending.completion.tokens}},
                     records_.name);
}

void GenerateSession::show(std::string_view text) {
  if (text.size() <= shown_) return;
  output_.out->text(text.substr(shown_));
  shown_ = text.size();
}

}  // namespace gist
