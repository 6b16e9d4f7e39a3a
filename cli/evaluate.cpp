// gist evaluate: how well systems answer, side by side: models under conditions, baselines, or
// given completions.
#include <spdlog/spdlog.h>

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/context_options.h"
#include "cli/evaluation_progress.h"
#include "cli/evaluation_report.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/model_options.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "cli/report/evaluation_page.h"
#include "cli/report/page.h"
#include "cli/signals.h"
#include "cli/system_options.h"
#include "cli/training_comparison.h"
#include "cli/win_rate.h"
#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/model/fingerprint.h"
#include "formats/model/named_templates.h"
#include "gist/evaluation_run.h"
#include "gist/log_probabilities.h"
#include "gist/stopwatch.h"
#include "kernels/cpu/process_limits.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* write_logprobs_option = "write-logprobs";

CommandSpec evaluate_spec() {
  return {
      "evaluate",
      "[--model DIR ...] [--store STORE] [--data] FILE|- [OPTION ...]",
      "measure answers against references, systems side by side",
      "",
      joined(
          {{{"data", OptionKind::text, "FILE", "",
             "JSONL, a JSON array or *.tsv, perhaps .gz or .zst: with --model \"instruction\", "
             "\"input\", \"output\"; without, \"completion\" and \"output\"; - for standard "
             "input"}},
           system_options(),
           {{"group-by", OptionKind::text, "FIELD", "", "also for each value of this field"},
            {"cost", OptionKind::flag, "", "",
             "also what an answer of the gist model costs with nothing, the instruction or its "
             "gist cached: FLOPs, times, memory, storage"},
            {"fidelity", OptionKind::flag, "", "",
             "also how near next-token distributions are to the pos model's, which stays in "
             "memory"},
            {write_logprobs_option, OptionKind::text, "FILE", "",
             "measure nothing: write the log-probabilities of the one model's likeliest tokens at "
             "each token of the outputs, for train's --teacher-logprobs"},
            {"logprobs", OptionKind::integer, "N", "20", "how many tokens it keeps of each"},
            {"stemmer", OptionKind::flag, "", "", "ROUGE compares stems of words (Porter's)"},
            {"confidence", OptionKind::real, "X", "0.95", "of the intervals"},
            {"resamples", OptionKind::integer, "N", "1000",
             "of the records, which the intervals come from"},
            {"seed", OptionKind::integer, "N", "0", "of resamples and random baselines"},
            {"json", OptionKind::flag, "", "", "one JSON object in place of tables"},
            {"tsv", OptionKind::flag, "", "", "tab-separated values in place of tables"},
            {"report", OptionKind::text, "FILE", "", "also write a page to look at (HTML)"},
            {"max-new-tokens", OptionKind::integer, "N", "256", "the longest completion"},
            {"batch-rows", OptionKind::integer, "N", "64", "records that are completed together"},
            {"batch-tokens", OptionKind::integer, "N", "4096",
             "tokens of one pass; a longer record has a pass of its own"}},
           win_rate_options(),
           training_comparison_options(),
           field_options(),
           exclude_options(),
           left_out_options(),
           reject_options(),
           setup_options(),
           config_options()}),
      "data",
      "  gist evaluate --model my-pos-model --model my-gist-model held_out.jsonl\n"};
}

BootstrapOptions bootstrap_options(const Options& options) {
  BootstrapOptions bootstrap;
  bootstrap.confidence = options.real("confidence", 0, 1);
  bootstrap.resamples = static_cast<std::uint32_t>(options.integer("resamples", 1, 1 << 24));
  bootstrap.seed = static_cast<std::uint64_t>(
      options.integer("seed", 0, std::numeric_limits<std::int64_t>::max()));
  const std::int64_t threads = options.integer("threads", 0, 4096);
  const int processors = cpu::usable_threads();
  bootstrap.threads = threads > 0 ? static_cast<int>(threads) : processors;
  return bootstrap;
}

void check_logprobs(const Options& options) {
  if (!options.has(write_logprobs_option)) return;
  if (options.list("model").size() != 1 || !options.list("baseline").empty()) {
    fail(ErrorKind::usage, "--write-logprobs writes those of one model: it needs one --model DIR");
  }
  for (const char* name : {"cost", "fidelity", "json", "tsv"}) {
    if (options.flag(name)) fail(ErrorKind::usage, "--write-logprobs stands without --{}", name);
  }
  for (const char* name : {"report", "win-rate", "group-by"}) {
    if (options.has(name)) fail(ErrorKind::usage, "--write-logprobs stands without --{}", name);
  }
}

void check(const Options& options) {
  check_standard_input(options);
  check_logprobs(options);
  if (options.flag("json") && options.flag("tsv")) {
    fail(ErrorKind::usage, "--json and --tsv exclude each other");
  }
  const std::size_t models = options.list("model").size();
  if (options.has("win-rate")) {
    if (models == 0) fail(ErrorKind::usage, "--win-rate compares systems: it needs --model DIR");
  }
  if (options.has("verdicts") && (models > 0 || options.has("data"))) {
    fail(ErrorKind::usage, "--verdicts stands alone: without --data and --model");
  }
  if (models > 0) return;
  if (options.integer("max-tokens", 0, 1 << 30) > 0) {
    fail(ErrorKind::usage, "--max-tokens needs --model DIR");
  }
  for (const OptionSpec& option : system_options()) {
    const bool given = option.kind == OptionKind::flag ? options.flag(option.name)
                                                       : !options.list(option.name).empty();
    if (given) {
      fail(ErrorKind::usage, "--{} needs --model DIR", option.name);
    }
  }
}

/// EvaluateTask holds what the options say of an evaluation.
struct EvaluateTask {
  SystemsRequest systems;
  EvaluationDataSetup data;  // but for its fields, which the model's template has its part in
  RecordRequest records;
  std::vector<std::string> excluded;  // files of --exclude
  RejectsRequest rejects;
  LeftOutRequest left_out;
  BootstrapOptions bootstrap;
  EvaluationMeasures measures;
  bool stemmer = false;
  std::optional<std::string> pairs;   // where --win-rate writes them
  std::optional<std::string> report;  // the path of a page
  Provenance provenance;              // for the page
  enum class Form : std::uint8_t { table, json, tsv } form = Form::table;
};

EvaluationDataSetup data_setup(const Options& options, const EvaluateTask& task) {
  EvaluationDataSetup setup;
  setup.path = options.text("data");
  setup.max_record_bytes = task.records.most_bytes;
  setup.max_tokens = task.left_out.max_tokens;
  if (options.has("group-by")) setup.group_by = options.text("group-by");
  return setup;
}

EvaluateTask evaluate_task(const Options& options) {
  EvaluateTask task;
  task.systems = systems_request(options);
  task.records = record_request(options);
  task.excluded = options.list("exclude");
  task.rejects = rejects_request(options);
  task.left_out = left_out_request(options);
  task.data = data_setup(options, task);
  task.bootstrap = bootstrap_options(options);
  if (!options.list("model").empty()) task.measures.generation = generation_limits(options);
  task.measures.fidelity = options.flag("fidelity");
  task.measures.cost = options.flag("cost");
  task.measures.open_backend = open_backend;
  task.stemmer = options.flag("stemmer");
  if (options.has("win-rate")) task.pairs = options.text("win-rate");
  if (options.has("report")) {
    task.report = options.text("report");
    task.provenance = provenance_of("evaluate", options);
  }
  if (options.flag("json")) task.form = EvaluateTask::Form::json;
  if (options.flag("tsv")) task.form = EvaluateTask::Form::tsv;
  return task;
}

void say_what_is_measured(const Systems& systems, const Evaluation& evaluation,
                          const EvaluationMeasures& measures) {
  std::string names;
  for (const auto& system : systems) {
    names += (names.empty() ? "" : ", ") + system->description().name;
  }
  spdlog::debug("evaluating {} of {} by {} ({}): losses, completions{}{}",
                counted(evaluation.records.size(), "record"), evaluation.data,
                counted(systems.size(), "system"), names, measures.fidelity ? ", fidelity" : "",
                measures.cost ? ", cost" : "");
}

/// Says which records were not used. Throws where none is left.
void say_what_is_used(const EvaluationData& data, const Evaluation& evaluation,
                      const LeftOutList& left_out, const Rejects& rejects) {
  if (evaluation.records.empty()) {
    fail(ErrorKind::data, "{}: there is no record to evaluate{}", data.name(),
         all_left_out(left_out.records(), left_out.max_tokens()));
  }
  left_out.warn(evaluation.records.size(), data.name());
  rejects.tell_listed();
}

std::optional<CostReport> measure(const Systems& systems, const EvaluationItems& items,
                                  const EvaluationMeasures& measures, RougeScorer& rouge,
                                  Evaluation& evaluation) {
  say_what_is_measured(systems, evaluation, measures);
  ShownEvaluation shown;
  return measure_systems(systems, items, measures, rouge, shown.events(), evaluation).cost;
}

void write_report(const std::string& path, Provenance provenance, const Systems& systems,
                  const Evaluation& evaluation, const EvaluationSummary& summary,
                  const std::optional<CostReport>& cost) {
  provenance.files.push_back({evaluation.data, counted(evaluation.records.size(), "record")});
  for (const auto& system : systems) {
    if (!system->description().baseline.empty()) continue;
    provenance.files.push_back({system->description().model,
                                "sha256 of weights: " + model_sha256(system->files().checkpoint)});
    if (const std::optional<AdapterFiles>& adapter = system->files().adapter) {
      provenance.files.push_back(
          {adapter->path, "sha256 of the adapter's weights: " + model_sha256(adapter->checkpoint)});
    }
  }
  write_page(path, evaluation_page(evaluation, summary, cost, provenance));
}

int score_verdicts(const Options& options, const BootstrapOptions& bootstrap) {
  if (!options.has("key")) {
    fail(ErrorKind::usage, "--verdicts needs --key FILE, which --win-rate wrote beside the pairs");
  }
  const std::vector<WinRate> rates =
      win_rates(options.text("verdicts"), options.text("key"), options.flag("partial"), bootstrap);
  LineWriter out = standard_output();
  out.text(options.flag("json") ? win_rate_json(rates) : win_rate_table(rates));
  out.flush();
  return exit_ok;
}

/// A line about the file, on standard output.
void write_logprobs(const Options& options, EvaluatedSystem& system, const EvaluationItems& items,
                    const Evaluation& evaluation) {
  LogProbabilityTask task;
  task.path = options.text(write_logprobs_option);
  task.k = static_cast<std::int32_t>(options.integer("logprobs", 1, 1024));
  task.batch_tokens = generation_limits(options).batch_tokens;
  task.open_backend = open_backend;
  ShownEvaluation shown;
  const WrittenLogProbabilities written =
      write_log_probabilities(system, items.front(), evaluation.records, task, shown.events());
  LineWriter out = standard_output();
  out.line(text_of_json(nlohmann::ordered_json{
      {"records", written.records}, {"labels", written.labels}, {"mass", written.mass}}));
  out.flush();
}

std::string report_text(const EvaluateTask& task, const Evaluation& evaluation,
                        const EvaluationSummary& summary, const std::optional<CostReport>& cost) {
  switch (task.form) {
    case EvaluateTask::Form::json:
      return json_report(evaluation, summary, cost);
    case EvaluateTask::Form::tsv:
      return tsv_report(evaluation, summary);
    case EvaluateTask::Form::table:
      break;
  }
  return table_report(evaluation, summary, cost);
}

int run_evaluate(const Options& options) {
  check(options);
  if (options.has("verdicts")) return score_verdicts(options, bootstrap_options(options));
  if (!options.list("training").empty()) {
    compare_training(options);
    return exit_ok;
  }
  EvaluateTask task = evaluate_task(options);
  const Signals signals;  // they end the run at once: there is nothing to keep
  const Stopwatch watch;
  RougeScorer rouge(task.stemmer);
  const Systems systems = open_systems(task.systems);
  task.data.fields = field_map(
      task.records, systems.empty() ? decoder_template() : systems.front()->prompt_template());
  EvaluationData data(task.data);
  Rejects rejects(task.rejects);
  data.exclude(task.excluded, rejects.sink());
  LeftOutList left_out(task.left_out);
  const EvaluationDataEvents unused{rejects.sink(),
                                    [&](const LeftOut& record) { left_out.add(record); }};
  Evaluation evaluation;
  std::optional<CostReport> cost;
  if (systems.empty()) {
    read_completions(data, unused, rouge, evaluation);
    say_what_is_used(data, evaluation, left_out, rejects);
  } else {
    const EvaluationItems items = read_items(systems, data, unused, evaluation);
    say_what_is_used(data, evaluation, left_out, rejects);
    if (options.has(write_logprobs_option)) {
      write_logprobs(options, *systems.front(), items, evaluation);
      return rejects.count() > 0 ? exit_rejects : exit_ok;
    }
    cost = measure(systems, items, task.measures, rouge, evaluation);
  }
  if (task.pairs) {
    if (evaluation.systems.size() == 1) fail(ErrorKind::usage, "--win-rate needs two systems");
    write_pairs(evaluation, *task.pairs, task.bootstrap.seed);
  }
  const EvaluationSummary summary = summarise(evaluation, task.bootstrap);
  if (task.report) {
    write_report(*task.report, task.provenance, systems, evaluation, summary, cost);
  }
  spdlog::debug("evaluated in {}{}", duration_in_words(watch.seconds()),
                task.report ? "; the page is " + *task.report : "");
  LineWriter out = standard_output();
  out.text(report_text(task, evaluation, summary, cost));
  out.flush();
  return rejects.count() > 0 ? exit_rejects : exit_ok;
}

}  // namespace

Command evaluate_command() {
  return {evaluate_spec(), run_evaluate};
}

}  // namespace gist
