// gist evaluate: how well systems answer, side by side: models under conditions, baselines, or
// given completions.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/context_options.h"
#include "cli/evaluation.h"
#include "cli/evaluation_cost.h"
#include "cli/evaluation_data.h"
#include "cli/evaluation_report.h"
#include "cli/evaluation_system.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/progress.h"
#include "cli/record_options.h"
#include "cli/rejects.h"
#include "cli/report/evaluation_page.h"
#include "cli/report/page.h"
#include "cli/signals.h"
#include "cli/stopwatch.h"
#include "cli/training_comparison.h"
#include "cli/win_rate.h"
#include "cli/words.h"
#include "formats/files/text.h"
#include "formats/model/fingerprint.h"
#include "formats/records/record_reader.h"
#include "kernels/cpu/process_limits.h"
#include "kernels/error.h"

namespace gist {
namespace {

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
             "gist "
             "cached: FLOPs, times, memory, storage"},
            {"fidelity", OptionKind::flag, "", "",
             "also how near next-token distributions are to the pos model's, which stays in "
             "memory"},
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

void check(const Options& options) {
  check_standard_input(options);
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

void read_completions(EvaluationData& data, RougeScorer& rouge, Evaluation& evaluation) {
  SystemResults& results = evaluation.systems.emplace_back();
  results.system.name = "completions";
  data.read(evaluation, [&](const Record& record) {
    RecordResult result;
    result.completion = record.string("completion");
    result.scores = score_answer(result.completion, record.string("output"), rouge);
    results.records.push_back(std::move(result));
    return true;
  });
}

/// The order in which systems run: the reference first.
std::vector<std::size_t> in_order(std::size_t systems, std::size_t reference) {
  std::vector<std::size_t> order{reference};
  for (std::size_t i = 0; i < systems; ++i) {
    if (i != reference) order.push_back(i);
  }
  return order;
}

/// Throws where some system can't be compared with the reference.
void check_fidelity(const Systems& systems, std::size_t reference) {
  const EvaluatedSystem& full = *systems[reference];
  if (systems.size() == 1 || full.description().condition != Condition::pos) {
    fail(ErrorKind::usage,
         "--fidelity compares with the full prompt: it needs a --model under pos and another one");
  }
  for (const auto& system : systems) {
    const Tokenizer& tokenizer = system->files().tokenizer;
    (void)shared_vocabulary(full.spec(), system->spec(), tokenizer.gist_token().value_or(-1));
    if (tokenizer.sha256() == full.files().tokenizer.sha256()) continue;
    fail(ErrorKind::data, "--fidelity: {} and {} have different vocabularies",
         full.files().tokenizer.path().string(), tokenizer.path().string());
  }
}

/// The system whose cost is measured, where that is asked for.
std::optional<std::size_t> costly_among(const Systems& systems, const Options& options) {
  if (!options.flag("cost")) return std::nullopt;
  bool any_behind_store = false;
  for (std::size_t i = 0; i < systems.size(); ++i) {
    const SystemDescription& system = systems[i]->description();
    if (system.condition != Condition::gist) continue;
    if (system.store.empty()) return i;
    any_behind_store = true;
  }
  if (any_behind_store) {
    fail(ErrorKind::usage, "--cost reads whole records: leave --store out");
  }
  fail(ErrorKind::usage, "--cost needs a --model under gist: none of these is");
}

/// The data's records as each system reads them: [systems][records].
std::vector<std::vector<EvaluationItem>> read_items(const Systems& systems, EvaluationData& data,
                                                    Evaluation& evaluation) {
  std::vector<std::vector<EvaluationItem>> items(systems.size());
  data.read(evaluation, [&](const Record& record) {
    std::vector<EvaluationItem> of_record;  // of all systems, or of none
    std::int64_t longest = 0;
    for (const auto& system : systems) {
      of_record.push_back(system->read(record, data.name()));
      longest = std::max(longest, of_record.back().tokens());
    }
    if (data.too_long(record, longest)) return false;
    for (std::size_t i = 0; i < systems.size(); ++i) {
      systems[i]->check_length(of_record[i], record, data.name());
    }
    for (std::size_t i = 0; i < systems.size(); ++i) items[i].push_back(std::move(of_record[i]));
    return true;
  });
  return items;
}

void say_what_is_measured(const Systems& systems, const Evaluation& evaluation,
                          const Options& options) {
  std::string names;
  for (const auto& system : systems) {
    names += (names.empty() ? "" : ", ") + system->description().name;
  }
  spdlog::debug("evaluating {} of {} by {} ({}): losses, completions{}{}",
                counted(evaluation.records.size(), "record"), evaluation.data,
                counted(systems.size(), "system"), names,
                options.flag("fidelity") ? ", fidelity" : "", options.flag("cost") ? ", cost" : "");
}

/// The system, and says on what it runs.
std::unique_ptr<LoadedSystem> load(EvaluatedSystem& system) {
  const SystemDescription description = system.description();
  std::optional<Activity> loading(description.name + ": loading");
  auto loaded = std::make_unique<LoadedSystem>(system);
  loading.reset();
  spdlog::debug("{}: {}", description.name,
                model_in_words(description.model, loaded->loaded.model.spec(),
                               *loaded->loaded.backend, system.setup()));
  return loaded;
}

void run_systems(const Options& options, const Systems& systems, EvaluationData& data,
                 RougeScorer& rouge, Evaluation& evaluation, std::optional<CostReport>& cost) {
  const std::vector<std::vector<EvaluationItem>> items = read_items(systems, data, evaluation);
  evaluation.reference = reference_among(systems);
  evaluation.systems.resize(systems.size());
  say_what_is_measured(systems, evaluation, options);
  const bool with_fidelity = options.flag("fidelity");
  if (with_fidelity) check_fidelity(systems, evaluation.reference);
  const std::optional<std::size_t> costly = costly_among(systems, options);
  std::unique_ptr<LoadedSystem> reference;  // kept while others are compared with it
  for (const std::size_t i : in_order(systems.size(), evaluation.reference)) {
    EvaluatedSystem& system = *systems[i];
    const GenerationOptions generation = generation_options(system.files(), options);
    SystemResults& results = evaluation.systems[i];
    results.system = system.description();
    results.records.resize(items[i].size());
    std::unique_ptr<LoadedSystem> loaded = load(system);
    const RunningSystem running{results.system.name, items[i], loaded->loaded.model, loaded->stored,
                                system.token_bytes()};
    measure_loss(running, generation.batch_tokens, results);
    measure_completions(running, evaluation.records, system.files().tokenizer, generation, rouge,
                        results);
    if (i == costly) cost = measure_cost(system, items[i], loaded->loaded.model, options);
    if (!with_fidelity) continue;
    if (i == evaluation.reference) {
      reference = std::move(loaded);
      continue;
    }
    const RunningSystem full{systems[evaluation.reference]->description().name,
                             items[evaluation.reference], reference->loaded.model,
                             reference->stored, systems[evaluation.reference]->token_bytes()};
    measure_fidelity(full, running, generation.batch_tokens,
                     system.files().tokenizer.gist_token().value_or(-1), results);
  }
}

void write_report(const Options& options, const Systems& systems, const Evaluation& evaluation,
                  const EvaluationSummary& summary, const std::optional<CostReport>& cost) {
  Provenance provenance = provenance_of("evaluate", options);
  provenance.files.push_back({evaluation.data, counted(evaluation.records.size(), "record")});
  for (const auto& system : systems) {
    if (!system->description().baseline.empty()) continue;
    provenance.files.push_back({system->description().model,
                                "sha256 of weights: " + model_sha256(system->files().checkpoint)});
  }
  write_page(options.text("report"), evaluation_page(evaluation, summary, cost, provenance));
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

int run_evaluate(const Options& options) {
  check(options);
  const BootstrapOptions bootstrap = bootstrap_options(options);
  if (options.has("verdicts")) return score_verdicts(options, bootstrap);
  if (!options.list("training").empty()) {
    compare_training(options);
    return exit_ok;
  }
  const Signals signals;  // they end the run at once: there is nothing to keep
  const Stopwatch watch;
  RougeScorer rouge(options.flag("stemmer"));
  const Systems systems = open_systems(options);
  EvaluationData data(options, systems.empty() ? PromptTemplate::decoder_default()
                                               : systems.front()->prompt_template());
  Evaluation evaluation;
  std::optional<CostReport> cost;
  if (systems.empty()) {
    read_completions(data, rouge, evaluation);
  } else {
    run_systems(options, systems, data, rouge, evaluation, cost);
  }
  if (options.has("win-rate")) {
    if (evaluation.systems.size() == 1) fail(ErrorKind::usage, "--win-rate needs two systems");
    write_pairs(evaluation, options.text("win-rate"), bootstrap.seed);
  }
  const EvaluationSummary summary = summarise(evaluation, bootstrap);
  if (options.has("report")) write_report(options, systems, evaluation, summary, cost);
  spdlog::debug("evaluated in {}{}", duration_in_words(watch.seconds()),
                options.has("report") ? "; the page is " + options.text("report") : "");
  LineWriter out = standard_output();
  out.text(options.flag("json")  ? json_report(evaluation, summary, cost)
           : options.flag("tsv") ? tsv_report(evaluation, summary)
                                 : table_report(evaluation, summary, cost));
  out.flush();
  return data.exit_code();
}

}  // namespace

Command evaluate_command() {
  return {evaluate_spec(), run_evaluate};
}

}  // namespace gist
