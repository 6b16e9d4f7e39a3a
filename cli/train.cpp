// gist train: from a base model to a gist model.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/progress.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "cli/report/page.h"
#include "cli/train_checkpoint.h"
#include "cli/train_data.h"
#include "cli/train_log.h"
#include "cli/train_model.h"
#include "cli/train_plan.h"
#include "cli/train_report.h"
#include "cli/train_session.h"
#include "cli/train_task.h"
#include "formats/files/atomic_directory.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/output_lock.h"
#include "formats/files/sha256.h"
#include "formats/model/fingerprint.h"
#include "formats/records/record_reader.h"
#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {
namespace {

namespace fs = std::filesystem;

constexpr const char* left_out_name = "left_out.jsonl";

CommandSpec train_spec() {
  return {"train",
          "--model DIR --output DIR [--data] FILE|- [OPTION ...]",
          "train a model to gist",
          "",
          joined({train_options(), field_options(), exclude_options(), reject_options(),
                  model_options(), config_options()}),
          "data",
          "  gist train --model my-base-model --output my-gist-model --condition gist \\\n"
          "    --gist-tokens 1 --epochs 3 --lr 1e-4 train.jsonl\n"};
}

/// Makes the output directory with its parents, and in the end removes what it made of them and is
/// empty still: a run that can't begin leaves none.
class NewDirectories {
 public:
  explicit NewDirectories(const fs::path& output) {
    fs::path missing = output.lexically_normal();
    if (!missing.has_filename()) missing = missing.parent_path();
    for (; !missing.empty() && !may_exist(missing); missing = missing.parent_path()) {
      made_.push_back(missing);
    }
    std::error_code error;
    fs::create_directories(output, error);
    if (error) {
      fail(ErrorKind::cannot_create, "--output {}: {}", output.string(), error.message());
    }
  }
  NewDirectories(const NewDirectories&) = delete;
  NewDirectories& operator=(const NewDirectories&) = delete;
  ~NewDirectories() {
    for (const fs::path& directory : made_) ::rmdir(directory.c_str());
  }

 private:
  std::vector<fs::path> made_;  // the deepest first
};

/// Whether a run wrote into the directory: these are the first things that one makes.
bool holds_run(const fs::path& output) {
  return may_exist(output / metrics_name) || may_exist(output / left_out_name) ||
         last_checkpoint(output) || read_finished_run(output);
}

/// Throws Error(cannot_create) where a run may not write: files that are not its own could have the
/// names of those it makes.
void check_output(const fs::path& output, bool resume) {
  std::error_code error;
  const bool empty = fs::is_empty(output, error);
  if (error) {
    fail(ErrorKind::cannot_create, "--output {}: {}", output.string(), error.message());
  }
  if (empty) return;
  if (!resume) {
    fail(ErrorKind::cannot_create,
         "--output {}: it exists and is not empty; --resume goes on with the run in it, another "
         "directory starts a new one",
         output.string());
  }
  if (!holds_run(output)) {
    fail(ErrorKind::cannot_create,
         "--output {}: there is no run to resume in it, but other files: choose another directory",
         output.string());
  }
}

/// What the run starts from, for comparison.
std::string fingerprint_of(const BaseModel& base) {
  const std::string weights = base.checkpoint ? model_sha256(*base.checkpoint) : "";
  return to_hex(sha256(weights + base.config.dump() + base.tokenizer.sha256()));
}

/// What a run reads and is asked to do.
struct Run {
  ModelSetup setup;
  TrainTask task;
  BaseModel base;
  std::unique_ptr<Family> family;
  TrainData data;
  std::optional<TrainData> held_out;
  bool rejects = false;

  std::int64_t steps() const { return task.total_steps(data.records.size()); }
};

std::string left_out_lines(const TrainData& data, const fs::path& list) {
  std::string lines;
  for (const LeftOut& record : data.left_out) lines += to_json_line(record) + "\n";
  warn_of_left_out(data.left_out, data.records.size(), data.name, list.string());
  return lines;
}

void list_left_out(const Run& run) {
  const fs::path list = run.task.output / left_out_name;
  std::string lines = left_out_lines(run.data, list);
  if (run.held_out) lines += left_out_lines(*run.held_out, list);
  if (!lines.empty()) write_file_atomically(list, lines);
}

void warn_of_leaks(const TrainData& held_out, const TrainData& data) {
  const std::size_t leaked = leaked_records(held_out, data);
  if (leaked == 0) return;
  spdlog::warn(
      "{}: {} of {} records stand in {}, too, with the same instruction and input: their loss "
      "says little about new ones; --exclude {} leaves them out of training",
      held_out.name, leaked, held_out.records.size(), data.name, held_out.name);
}

Run read_run(const ModelSetup& setup, const TrainTask& task, BaseModel base, const Options& options,
             const Signals* signals) {
  fit_vocabulary(base, task.gisting.gist_tokens > 0);
  std::unique_ptr<Family> family = family_finder(setup)(base.config, base.name);
  const ModelSpec shapes = family->spec();
  Rejects rejects(options);
  ExcludedFiles files{options.list("exclude"), task.max_record_bytes};
  if (signals != nullptr) {
    files.wake = signals->wake_descriptor();
    files.stop_requested = [signals] { return signals->requested(); };
  }
  const ExcludedRecords excluded(files, task.fields, rejects.sink());
  if (signals != nullptr && signals->requested()) signals->end_by_signal();
  std::optional<Activity> reading("reading " + options.text("data"));
  TrainData data =
      read_train_data(options.text("data"), base, shapes, task, excluded, 0, rejects, signals);
  std::optional<TrainData> held_out;
  if (options.has("eval-data")) {
    held_out = read_train_data(options.text("eval-data"), base, shapes, task, ExcludedRecords(),
                               static_cast<std::size_t>(task.samples), rejects, signals);
    warn_of_leaks(*held_out, data);
  }
  reading.reset();
  rejects.tell_listed();
  return {setup,
          task,
          std::move(base),
          std::move(family),
          std::move(data),
          std::move(held_out),
          rejects.count() > 0};
}

/// The family again, for the plan's model: a model owns its family.
TrainPlan plan_of(const Run& run, const Backend& backend) {
  return plan_training(family_finder(run.setup)(run.base.config, run.base.name), run.data, run.task,
                       run.setup.compute.dtype, backend.memory().available);
}

void print_plan(const TrainPlan& plan, const Run& run) {
  LineWriter out = standard_output();
  out.line(text_of_json(to_json(plan, run.data), 2));
  out.flush();
  require_memory(plan, run.task);
}

/// Everybody is told of a condition that gist.json alone says, where it is not the usual one: it is
/// easily forgotten there.
void say_plan(const TrainPlan& plan, const Run& run, const ModelSpec& shapes,
              const Backend& backend, const Options& options) {
  const bool chosen = options.has("condition");
  const bool usual = run.task.gisting.condition == Condition::gist;
  spdlog::log(chosen || usual ? spdlog::level::debug : spdlog::level::info,
              "training under {}{}; {}, into {}", in_words(plan, run.data, run.task),
              chosen ? "" : " (condition as in the model's gist.json)",
              model_in_words(run.base.name, shapes, backend, run.setup), run.task.output.string());
}

RunState state_of(const Run& run) {
  RunState state;
  state.settings = decisive_settings(run.task, run.steps(), run.setup.compute.dtype);
  state.settings["ignore-tensors"] = setting_of_names(run.base.ignored_tensors);
  state.data_sha256 = run.data.sha256;
  state.base_sha256 = fingerprint_of(run.base);
  return state;
}

/// A checkpoint has a training.json as well.
void check_finished(const RunState& finished, const RunState& state, const Run& run) {
  check_same_run(finished, state, run.task.output.string());
  if (finished.step == run.steps()) return;
  fail(ErrorKind::usage,
       "--output {}: it is the checkpoint of a run after step {} of {}: --resume takes the "
       "directory that the checkpoint is in",
       run.task.output.string(), finished.step, run.steps());
}

/// Fills the parameters with what the run goes on from, and says where it stands.
void begin_or_resume(RunState& state, Parameters& parameters, const Run& run,
                     const ModelSpec& shapes, bool resume) {
  const std::optional<fs::path> checkpoint =
      resume ? last_checkpoint(run.task.output) : std::nullopt;
  if (!checkpoint) {
    fill(parameters, run.base, shapes, run.task.gisting.gist_tokens > 0, run.task.seed);
    return;
  }
  const RunState before = read_last_checkpoint(run.task.output);
  check_same_run(before, state, checkpoint->string());
  if (before.step < 1 || before.step > run.steps()) {
    fail(ErrorKind::data, "{}: training.json should have a step from 1 to {}, found {}",
         checkpoint->string(), run.steps(), before.step);
  }
  load_checkpoint(parameters, *checkpoint);
  state.step = before.step;
  state.best = before.best;
  spdlog::info("resuming after step {}", state.step);
}

/// What --report asks for.
std::optional<TrainReport> report_of(const Run& run, const RunState& state,
                                     const Options& options) {
  if (!options.has("report")) return std::nullopt;
  TrainReport report{options.text("report"), provenance_of("train", options),
                     run.task.training.adamw.max_norm, run.steps()};
  report.provenance.files = {
      {run.base.name, "sha256 of weights, configuration and tokenizer: " + state.base_sha256},
      {run.data.name, "sha256 of the records' tokens: " + run.data.sha256}};
  if (run.held_out) {
    report.provenance.files.push_back(
        {run.held_out->name, "held out; sha256 of the records' tokens: " + run.held_out->sha256});
  }
  return report;
}

int train(Run run, Backend& backend, const Options& options, const Signals& signals) {
  const bool resume = options.flag("resume");
  RunState state = state_of(run);
  const std::optional<TrainReport> report = report_of(run, state, options);
  if (const std::optional<RunState> finished = read_finished_run(run.task.output)) {
    check_finished(*finished, state, run);
    if (report) write_train_report(*report, run.task.output, finished->step, "finished");
    spdlog::info("{} is finished: there is nothing to resume", run.task.output.string());
    return run.rejects ? exit_rejects : exit_ok;
  }
  const TrainPlan plan = plan_of(run, backend);
  require_memory(plan, run.task);
  const ModelSpec shapes = run.family->spec();
  say_plan(plan, run, shapes, backend, options);

  Parameters parameters(shapes, backend);
  begin_or_resume(state, parameters, run, shapes, resume);
  list_left_out(run);
  const Model model(std::move(run.family), parameters);
  TrainSession session(run.task, run.base, run.data, run.held_out ? &*run.held_out : nullptr, model,
                       parameters, std::move(state), run.steps(), signals,
                       report ? &*report : nullptr);
  session.run();
  return run.rejects ? exit_rejects : exit_ok;
}

int run_train(const Options& options) {
  const ModelSetup setup = setup_of(options);
  BaseModel base = base_model(options);
  const TrainTask task =
      train_task(options, base, family_finder(setup)(base.config, base.name)->spec());
  const bool plan_only = options.flag("dry-run");
  if (plan_only && options.has("report")) {
    fail(ErrorKind::usage, "--dry-run has nothing to draw: leave out --report");
  }
  std::optional<Signals> signals;
  std::optional<NewDirectories> made;
  std::optional<OutputLock> lock;
  if (!plan_only) {
    made.emplace(task.output);
    lock = OutputLock::of_directory(task.output);
    tidy_left_directories(task.output);
    check_output(task.output, options.flag("resume"));
    signals.emplace();
  }
  const std::unique_ptr<Backend> backend = open_backend(setup);
  Run planned = read_run(setup, task, std::move(base), options, signals ? &*signals : nullptr);
  if (plan_only) {
    print_plan(plan_of(planned, *backend), planned);
    return planned.rejects ? exit_rejects : exit_ok;
  }
  return train(std::move(planned), *backend, options, *signals);
}

}  // namespace

Command train_command() {
  return {train_spec(), run_train};
}

}  // namespace gist
