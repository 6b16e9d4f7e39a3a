// gist compress: prompts to a gist store, durably.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/compress_plan.h"
#include "cli/compress_request.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/log.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/progress.h"
#include "cli/prompt_check_report.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "cli/signals.h"
#include "cli/terminal.h"
#include "cli/words.h"
#include "formats/files/output_lock.h"
#include "formats/files/text.h"
#include "gist/compress_store.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// "490 prompts stored, 10 duplicates"; what there is none of is not named, but for the first.
std::string in_words(const CompressTally& tally) {
  std::string text = counted(tally.stored, "prompt") + " stored";
  if (tally.duplicate > 0) text += ", " + counted(tally.duplicate, "duplicate");
  if (tally.known > 0) text += fmt::format(", {} known", tally.known);
  if (tally.rejected > 0) text += fmt::format(", {} rejected", tally.rejected);
  return text;
}

void say(const std::string& summary) {
  if (!summary.empty()) spdlog::info("{}", summary);
}

/// Options that would have it do something else are refused. Others that it doesn't read are named
/// where the command line has them: the environment and --config serve all runs.
void check_options_of_finish(const Options& options) {
  for (const char* name : {"resume", "dry-run"}) {
    if (!options.flag(name)) continue;
    fail(ErrorKind::usage, "--{} and --finish, which publishes what is staged: give one", name);
  }
  constexpr std::array used = {"output", "finish",       "force", "check-report",
                               "config", "print-config", "quiet", "verbose"};
  std::vector<std::string> unused;
  for (const std::string& name : options.on_command_line()) {
    if (std::find(used.begin(), used.end(), name) == used.end()) unused.push_back("--" + name);
  }
  if (unused.empty()) return;
  spdlog::warn("--finish publishes what is staged: {} {} no effect", fmt::join(unused, ", "),
               unused.size() == 1 ? "has" : "have");
}

int finish_partial(const Options& options) {
  check_options_of_finish(options);
  const std::filesystem::path store = options.text("output");
  const bool replace = options.flag("force");
  const std::optional<OutputListFile> check_report = output_list_file(options, check_report_list);
  LineWriter receipts = standard_output();
  std::optional<PromptCheckReport> report;
  bool rejects = false;
  FinishEvents events;
  events.opened = [&](std::optional<double> max_kl) { report.emplace(check_report, max_kl); };
  events.record = [&](const StagedRecord& record) {
    report->add(record);
    if (record.status == StagedRecord::Status::rejected) {
      rejects = true;
    } else {
      receipts.line(receipt(record));
    }
  };
  events.records_done = [&] { report->flush(); };
  finish_store(store, replace, events);
  receipts.flush();
  say(report->summary());
  return rejects ? exit_rejects : exit_ok;
}

/// RunOutput shows a run as it goes on: receipts, the line of progress, and what a check found.
class RunOutput {
 public:
  /// `signals` must outlive it.
  RunOutput(const Signals& signals, std::filesystem::path store)
      : signals_(signals), store_(std::move(store)) {}

  /// The work begins. The report must outlive this.
  void begin(PromptCheckReport& report) {
    report_ = &report;
    signals_.begin_work();
    progress_.emplace("record");
  }
  bool begun() const { return report_ != nullptr; }
  /// Says what may be done with the records that a run left staged; "" where there are none.
  const std::string& hint() const { return hint_; }
  /// The object must outlive the events.
  CompressEvents events();

 private:
  void begin_step(CompressStep step);
  void end_step(CompressStep step);
  void tell(const StagedRecord& record);
  void end_batch(std::uint64_t records, std::optional<double> fraction);
  void end_input();

  const Signals& signals_;
  std::filesystem::path store_;
  bool receipts_on_terminal_ = is_terminal(STDOUT_FILENO);
  LineWriter receipts_ = standard_output();
  PromptCheckReport* report_ = nullptr;  // null before the work has begun
  std::optional<Progress> progress_;
  std::optional<SignalUnit> batch_;
  std::optional<SignalPatience> patience_;
  std::optional<Activity> writing_;
  std::string hint_;
};

CompressEvents RunOutput::events() {
  CompressEvents events;
  events.run.log = log_line;
  events.run.stop_requested = [this] { return signals_.requested(); };
  events.begins = [this](CompressStep step) { begin_step(step); };
  events.ends = [this](CompressStep step) { end_step(step); };
  events.record = [this](const StagedRecord& record) { tell(record); };
  events.staged_before = [this](std::uint64_t records, std::optional<double> fraction) {
    progress_->begin_after(records, fraction);
  };
  events.progress = [this](std::uint64_t records, std::optional<double> fraction) {
    end_batch(records, fraction);
  };
  events.input_done = [this] { end_input(); };
  events.left_staged = [this](std::uint64_t records) {
    const bool one = records == 1;
    hint_ = fmt::format("{} {} staged in {}: --resume goes on, --finish publishes {}",
                        counted(records, "record"), one ? "is" : "are",
                        Staging::path_for(store_).string(), one ? "it" : "them");
  };
  return events;
}

void RunOutput::begin_step(CompressStep step) {
  if (step == CompressStep::batch) {
    batch_.emplace(signals_, "batch");
  } else {
    patience_.emplace(signals_);
    writing_.emplace("writing " + store_.string());
  }
}

void RunOutput::end_step(CompressStep step) {
  if (step == CompressStep::batch) {
    batch_.reset();
  } else {
    writing_.reset();
    patience_.reset();
  }
}

void RunOutput::tell(const StagedRecord& record) {
  if (report_ != nullptr) report_->add(record);
  if (record.status != StagedRecord::Status::rejected) receipts_.line(receipt(record));
}

void RunOutput::end_batch(std::uint64_t records, std::optional<double> fraction) {
  report_->flush();
  if (receipts_on_terminal_) progress_->hide();
  receipts_.flush();
  progress_->update(records, fraction);
}

void RunOutput::end_input() {
  if (report_ != nullptr) report_->flush();
  receipts_.flush();
}

int run_compress(const Options& options) {
  if (options.flag("finish")) return finish_partial(options);

  const Signals signals;
  const Stopwatch watch;
  const CompressRequest request = compress_request(options);
  StoreTask task = request.task;
  std::optional<OutputLock> lock;
  if (!request.dry_run) lock = OutputLock::of_file(task.path);
  const ModelFiles files = open_model_and_tell(request.model, request.setup);
  std::unique_ptr<Family> family = family_of(files, request.setup);
  const ModelSpec shapes = family->spec();
  CompressionTask& compression = task.compression;
  compression = compression_task(gisting_of(request.gisting, files, shapes), request.full_prompt,
                                 shapes, files.path);
  compression.shard = request.shard;
  std::optional<GistStore> known;
  if (request.known) compression.known = &known.emplace(*request.known, task.reading);
  const FieldMap map = field_map(request.records, compression.prompt_template);
  RecordReader input(request.input, map, signals.wake_descriptor(), request.records.most_bytes);
  Rejects rejects(request.rejects);
  LeftOutList left_out(request.left_out);
  compression.max_tokens = left_out.max_tokens();

  const std::unique_ptr<WholePromptModel> check =
      whole_prompt_model(request.check, files, shapes, compression, request.setup);
  PromptEvents prompt_events;
  if (request.rejects.keep_going) prompt_events.reject = rejects.sink();
  prompt_events.left_out = [&left_out](const LeftOut& record) { left_out.add(record); };
  PromptReader prompts(source_of(input), files, shapes, compression, std::move(prompt_events));
  if (check) prompts.ask(check->questions(), check->task().sample);
  const auto tell_of_input = [&] {
    left_out.warn(prompts.used(), input.name());
    rejects.tell_listed();
  };
  const auto exit_code = [&rejects] { return rejects.count() > 0 ? exit_rejects : exit_ok; };
  if (request.dry_run) {
    const CompressPlan plan = plan_compression(prompts, files, std::move(family), compression,
                                               check.get(), task.dtype, task.limits, task.compute);
    if (signals.requested()) signals.end_by_signal();
    print_compress_plan(plan, left_out.records().size(), check != nullptr,
                        open_backend(request.setup)->memory().available);
    tell_of_input();
    return exit_code();
  }

  std::unique_ptr<LoadedCompressor> loaded;
  const auto load = [&]() -> Compressor& {
    const Activity loading("loading " + files.path);
    loaded =
        std::make_unique<LoadedCompressor>(files, std::move(family), compression, check.get(),
                                           task.dtype, task.limits, request.setup, open_backend);
    return **loaded;
  };
  std::optional<PromptCheckReport> report;
  RunOutput output(signals, task.path);
  CompressEvents events = output.events();
  events.started = [&](const Compressor&) {
    spdlog::debug("compressing {} by {}, {} a prompt, into {}", input.name(),
                  model_in_words(files.path, shapes, *loaded->loaded().backend, request.setup),
                  compression.full_prompt
                      ? "every token"
                      : counted(static_cast<std::uint64_t>(compression.gist_tokens), "gist token"),
                  task.path.string());
    report.emplace(request.check_report, check ? check->task().max_kl : std::nullopt);
    output.begin(*report);
  };
  CompressOutcome outcome;
  try {
    outcome = compress_to_store(task, {files, shapes, prompts, check.get(), load}, events);
  } catch (const Error& error) {
    if (output.hint().empty()) throw;
    throw Error(error.kind(), fmt::format("{} ({})", error.what(), output.hint()));
  }
  if (outcome.end == CompressOutcome::End::stopped) {
    const std::string& hint = output.hint();
    if (output.begun()) spdlog::warn("interrupted{}{}", hint.empty() ? "" : ": ", hint);
    lock.reset();
    signals.end_by_signal();
  }
  tell_of_input();
  if (outcome.end == CompressOutcome::End::finished_before) {
    if (check) {
      spdlog::info("{} is finished: what --check found was said before", task.path.string());
    }
    return exit_code();
  }
  say(report->summary());
  spdlog::debug("{} in {}; {}", in_words(outcome.tally), duration_in_words(watch.seconds()),
                task.path.string());
  return exit_code();
}

}  // namespace

Command compress_command() {
  return {compress_spec(), run_compress};
}

}  // namespace gist
