// gist train: from a base model to a gist model.
#include <spdlog/spdlog.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/apply_diff.h"
#include "cli/commands.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/log.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/progress.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "cli/signals.h"
#include "cli/train_options.h"
#include "cli/train_report.h"
#include "cli/train_watch.h"
#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/records/record_reader.h"
#include "formats/sequences/window.h"
#include "gist/excluded_records.h"
#include "gist/train_data.h"
#include "gist/train_model.h"
#include "gist/train_output.h"
#include "gist/train_plan.h"
#include "gist/train_session.h"
#include "gist/train_start.h"
#include "gist/train_teacher.h"
#include "kernels/error.h"

namespace gist {
namespace {

CommandSpec train_spec() {
  return {"train",
          "--model DIR --output DIR [--data] FILE|- [OPTION ...]",
          "train a model to gist",
          "",
          joined({train_options(), field_options(), exclude_options(), reject_options(),
                  model_options(), config_options()}),
          "data",
          "  gist train --model my-base-model --output my-gist-model --condition gist \\\n"
          "    --gist-tokens 1 --epochs 3 --lr 1e-4 train.jsonl\n",
          train_recipes()};
}

/// Run is what a run reads and is asked to do.
struct Run {
  TrainFiles files;
  TrainTask task;
  BaseModel base;
  std::unique_ptr<Family> family;
  std::optional<TrainTeacher> teacher;
  std::optional<WrittenTeacher> written;
  TrainData data;
  std::optional<TrainData> held_out;
  bool rejects = false;

  std::int64_t steps() const { return task.total_steps(data.records.size()); }
  const TrainData* held_out_data() const { return held_out ? &*held_out : nullptr; }
  TeacherOfRun taught_by() const {
    return {teacher ? &*teacher : nullptr, written ? &*written : nullptr};
  }
};

void tell_left_out(const Run& run) {
  const std::string list = (run.task.output / left_out_name).string();
  warn_of_left_out(run.data.left_out, run.data.records.size(), run.data.name, list);
  if (run.held_out) {
    warn_of_left_out(run.held_out->left_out, run.held_out->records.size(), run.held_out->name,
                     list);
  }
  list_left_out(run.task.output, run.data, run.held_out_data());
}

void warn_of_leaks(const TrainData& held_out, const TrainData& data) {
  const std::size_t leaked = leaked_records(held_out, data);
  if (leaked == 0) return;
  spdlog::warn(
      "{}: {} of {} records stand in {}, too, with the same instruction and input: their loss "
      "says little about new ones; --exclude {} leaves them out of training",
      held_out.name, leaked, held_out.records.size(), data.name, held_out.name);
}

/// Tells of the first record whose prompt and gist, or gist and answer, a window doesn't hold.
void warn_of_window(const TrainData& data, const ModelSpec& spec) {
  WindowWatch window(spec, [](const std::string& line) { spdlog::warn("{}", line); });
  for (std::size_t i = 0; i < data.records.size(); ++i) {
    const Sequence& sequence = data.records[i].sequence;
    if (sequence.gists.empty()) continue;
    window.prompt_and_gist(sequence, data.name, data.lines[i]);
    window.gist_and_answer(sequence.tokens() - sequence.gists[0].begin, data.name, data.lines[i]);
  }
}

/// Reading is what records are read with.
struct Reading {
  const BaseModel& base;
  const ModelSpec& spec;
  const TrainTask& task;
  TeacherOfRun teacher;
  Rejects& rejects;
  const Signals* signals;  // null: none asks the run to end
};

/// A signal that comes meanwhile ends the process: there is nothing to save yet.
TrainData read_records(const std::string& path, const Reading& reading, std::size_t texts,
                       const ExcludedRecords& excluded) {
  const Signals* signals = reading.signals;
  RecordReader reader(path, reading.task.fields,
                      signals == nullptr ? -1 : signals->wake_descriptor(),
                      reading.task.max_record_bytes);
  Progress progress("record", std::nullopt, reader.name());
  TrainDataEvents events;
  events.reject = reading.rejects.sink();
  events.excluded = [&excluded](const Record& record) { return excluded.find(record); };
  events.progress = [&progress](std::uint64_t records, std::optional<double> fraction) {
    progress.update(records, fraction);
  };
  events.stop_requested = [signals] { return signals != nullptr && signals->requested(); };
  std::optional<TrainData> data = read_train_data(source_of(reader), reading.base, reading.spec,
                                                  reading.task, texts, events, reading.teacher);
  if (!data) signals->end_by_signal();
  return std::move(*data);
}

Run read_run(const TrainRequest& request, const TrainTask& task, BaseModel base,
             const Signals* signals) {
  const TrainFiles& files = request.files;
  fit_vocabulary(base, task.gist_ids(), task.gist_init, task.adapter);
  const std::string ids = gist_ids_in_words(base, task.gist_init);
  if (!ids.empty() && !files.resume) spdlog::debug("gist tokens: {}", ids);
  std::unique_ptr<Family> family = family_finder(files.setup)(base.config, base.name);
  const ModelSpec shapes = family->spec();
  if (base.directory.empty()) {  // else they were told when the model was opened
    for (const std::string& warning : shapes.warnings) spdlog::warn("{}", warning);
  }
  std::optional<TrainTeacher> teacher;
  if (request.teacher) {
    teacher.emplace(open_model_and_tell(*request.teacher, files.setup), files.setup, base, shapes,
                    task);
  }
  std::optional<WrittenTeacher> written;
  if (request.teacher_logprobs) written.emplace(*request.teacher_logprobs, base, task);
  Rejects rejects(files.rejects);
  ExcludedFiles excluded_files{files.excluded, task.max_record_bytes};
  if (signals != nullptr) {
    excluded_files.wake = signals->wake_descriptor();
    excluded_files.stop_requested = [signals] { return signals->requested(); };
  }
  const ExcludedRecords excluded(excluded_files, task.fields, rejects.sink());
  if (signals != nullptr && signals->requested()) signals->end_by_signal();
  std::optional<Activity> reading("reading " + files.data);
  const Reading with{base,    shapes,
                     task,    {teacher ? &*teacher : nullptr, written ? &*written : nullptr},
                     rejects, signals};
  TrainData data = read_records(files.data, with, 0, excluded);
  std::optional<TrainData> held_out;
  if (files.held_out) {
    held_out = read_records(*files.held_out, with, static_cast<std::size_t>(task.samples),
                            ExcludedRecords());
    warn_of_leaks(*held_out, data);
  }
  reading.reset();
  warn_of_window(data, shapes);
  rejects.tell_listed();
  return {files,
          task,
          std::move(base),
          std::move(family),
          std::move(teacher),
          std::move(written),
          std::move(data),
          std::move(held_out),
          rejects.count() > 0};
}

/// The family again, for the plan's model: a model owns its family.
TrainPlan plan_of(const Run& run, const Backend& backend) {
  return plan_training(family_finder(run.files.setup)(run.base.config, run.base.name), run.base,
                       run.data, run.task, run.files.setup.compute.dtype,
                       backend.memory().available, run.taught_by());
}

void print_plan(const TrainPlan& plan, const Run& run) {
  LineWriter out = standard_output();
  out.line(text_of_json(to_json(plan, run.data), 2));
  out.flush();
  require_memory(plan, run.task);
}

/// "gist with 2 gist tokens, on 1,000 records of data.jsonl: 500 steps of 64 records, 1.2 million
/// tokens".
std::string plan_in_words(const TrainPlan& plan, const TrainData& data, const TrainTask& task) {
  const auto count = [](auto number, std::string_view noun) {
    return counted(static_cast<std::uint64_t>(number), noun);
  };
  const std::string gists = count(task.gisting.gist_tokens, "gist token");
  return fmt::format(
      "{} with {}, on {} of {}: {} of {}, {}", name_of(task.gisting.condition),
      task.least_gist_tokens > 0 ? fmt::format("{} to {}", task.least_gist_tokens, gists) : gists,
      count(data.records.size(), "record"), data.name, count(plan.steps, "step"),
      count(task.batch_records, "record"), count(plan.tokens, "token"));
}

/// Everybody is told of a condition that gist.json alone says, where it is not the usual one: it is
/// easily forgotten there.
void say_plan(const TrainPlan& plan, const Run& run, const ModelSpec& shapes,
              const Backend& backend) {
  const bool chosen = run.files.names_condition;
  const bool usual = run.task.gisting.condition == Condition::gist;
  spdlog::log(chosen || usual ? spdlog::level::debug : spdlog::level::info,
              "training under {}{}{}; {}, into {}", plan_in_words(plan, run.data, run.task),
              chosen ? "" : " (condition as in the model's gist.json)",
              run.teacher   ? ", taught by " + run.teacher->name()
              : run.written ? ", taught by " + run.written->name()
                            : "",
              model_in_words(run.base.name, shapes, backend, run.files.setup),
              run.task.output.string());
}

/// Fills the parameters with what the run goes on from, and says where it stands.
void begin_or_resume(RunState& state, Parameters& parameters, const Run& run,
                     const ModelSpec& shapes) {
  const RunEvents events{log_line};
  if (run.files.resume && resume(state, parameters, run.task, run.steps(), events)) {
    spdlog::info("resuming after step {}", state.step);
  } else {
    fill(parameters, run.base, shapes, run.task.seed);
  }
}

/// Returns what --report asks for.
std::optional<TrainReport> report_of(const Run& run, const RunState& state, Provenance provenance) {
  if (!run.files.report) return std::nullopt;
  TrainReport report{*run.files.report, std::move(provenance), run.task.training.adamw.max_norm,
                     run.steps()};
  report.provenance.files = {
      {run.base.name, "sha256 of weights, configuration and tokenizer: " + state.base_sha256},
      {run.data.name, "sha256 of the records' tokens: " + run.data.sha256}};
  if (run.held_out) {
    report.provenance.files.push_back(
        {run.held_out->name, "held out; sha256 of the records' tokens: " + run.held_out->sha256});
  }
  return report;
}

int train(Run run, Backend& backend, Provenance provenance, const Signals& signals) {
  RunState state =
      first_state(run.task, run.base, run.data, run.files.setup.compute.dtype, run.taught_by());
  const std::optional<TrainReport> report = report_of(run, state, std::move(provenance));
  if (const std::optional<RunState> finished = finished_run(run.task, state, run.steps())) {
    if (report) write_train_report(*report, run.task.output, finished->step, "finished");
    spdlog::info("{} is finished: there is nothing to resume", run.task.output.string());
    return run.rejects ? exit_rejects : exit_ok;
  }
  const TrainPlan plan = plan_of(run, backend);
  require_memory(plan, run.task);
  const ModelSpec shapes = run.family->spec();
  say_plan(plan, run, shapes, backend);

  Parameters parameters(trained_parameters(run.base, shapes), backend);
  begin_or_resume(state, parameters, run, shapes);
  tell_left_out(run);
  const Model model = trained_model(std::move(run.family), run.base, parameters);
  LoadedTeacher teacher(run.taught_by(), model, backend);
  TrainWatch watch({run.task.output, backend, run.steps(), state.step}, signals,
                   report ? &*report : nullptr);
  TrainSession session(
      {run.task, run.base, run.data, run.held_out_data(), run.taught_by() ? &teacher : nullptr},
      model, parameters, std::move(state), watch.events());
  watch.begin();
  watch.end(session.run());
  return run.rejects ? exit_rejects : exit_ok;
}

int run_train(const Options& options) {
  if (options.has(apply_diff_option)) return apply_diff(options);
  const TrainRequest request = train_request(options);
  const TrainFiles& files = request.files;
  Provenance provenance = files.report ? provenance_of("train", options) : Provenance();
  BaseModel base = base_model(request);
  const TrainTask task =
      train_task(request, base, family_finder(files.setup)(base.config, base.name)->spec());
  std::optional<TrainOutput> output;
  std::optional<Signals> signals;
  if (!files.plan_only) {
    output.emplace(task.output, files.resume);
    signals.emplace();
  }
  const std::unique_ptr<Backend> backend = open_backend(files.setup);
  Run planned = read_run(request, task, std::move(base), signals ? &*signals : nullptr);
  if (files.plan_only) {
    print_plan(plan_of(planned, *backend), planned);
    return planned.rejects ? exit_rejects : exit_ok;
  }
  return train(std::move(planned), *backend, std::move(provenance), *signals);
}

}  // namespace

Command train_command() {
  return {train_spec(), run_train};
}

}  // namespace gist
