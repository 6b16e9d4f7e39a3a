// gist evaluate: loss and exact match of a model's answers, or exact match of given completions.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/context.h"
#include "cli/engine.h"
#include "cli/evaluation.h"
#include "cli/evaluation_report.h"
#include "cli/exclude.h"
#include "cli/exit_code.h"
#include "cli/left_out.h"
#include "cli/line_writer.h"
#include "cli/record_reader.h"
#include "formats/text.h"
#include "kernels/error.h"

namespace gist {
namespace {

CommandSpec spec() {
  return {
      "evaluate", "--data FILE [--model DIR] [--store STORE] [OPTION ...]",
      "measure answers against references", "",
      joined(
          {{{"data", OptionKind::text, "FILE", "",
             "JSONL, a JSON array or *.tsv, perhaps .gz or .zst: with --model \"instruction\", "
             "\"input\", \"output\"; without, \"completion\" and \"output\"; - for standard input"},
            {"group-by", OptionKind::text, "FIELD", "", "a row for each value of this field"},
            {"json", OptionKind::flag, "", "", "one JSON object in place of the table"}},
           context_options(),
           {{"max-new-tokens", OptionKind::integer, "N", "256", "the longest completion"},
            {"batch-rows", OptionKind::integer, "N", "64", "records that are completed together"},
            {"batch-tokens", OptionKind::integer, "N", "4096",
             "tokens of one pass; a longer record has a pass of its own"}},
           field_options(),
           exclude_options(),
           left_out_options(),
           reject_options(),
           model_options(),
           config_options()})};
}

/// The records of --data, without those that are left out, and the groups that they fall into.
class EvaluationData {
 public:
  EvaluationData(const Options& options, const PromptTemplate& prompt_template)
      : map_(field_map(options, prompt_template)),
        records_(options.text("data"), map_, nullptr),
        rejects_(options),
        excluded_(options, map_, rejects_, nullptr),
        left_out_(options),
        group_by_(options.has("group-by") ? options.text("group-by") : "") {}

  /// Runs `action` on each record; an Error(data) of it rejects the record. It says whether it used
  /// the record: see too_long.
  void for_each(const std::function<bool(const Record&)>& action) {
    std::uint64_t used = 0;
    while (std::optional<Record> record = records_.next()) {
      records_.use(*record, rejects_, [&](const Record& parsed) {
        if (const std::optional<RecordPlace> other = excluded_.find(parsed)) {
          left_out_.add({{name(), parsed.line, parsed.ordinal}, 0, other});
        } else if (action(parsed)) {
          ++used;
        }
      });
    }
    if (used == 0) {
      fail(ErrorKind::data, "{}: there is no record to evaluate{}", records_.name(),
           all_left_out(left_out_.records(), left_out_.max_tokens()));
    }
    left_out_.warn(used, name());
  }

  /// Whether a record of so many tokens is left out; then that is counted.
  bool too_long(const Record& record, std::int64_t tokens) {
    if (!left_out_.too_long(tokens)) return false;
    left_out_.add({{name(), record.line, record.ordinal}, tokens, std::nullopt});
    return true;
  }

  /// The index of the record's group, which is added where it is new. Call it last: a record that
  /// is rejected makes no group.
  std::size_t group_of(const Record& record, Evaluation& evaluation) const {
    if (group_by_.empty()) return 0;
    const auto value = record.fields.find(group_by_);
    if (value == record.fields.end()) {
      fail(ErrorKind::data, "{}:{}: the field {} of --group-by is missing", name(), record.line,
           in_quotes(group_by_));
    }
    return evaluation.group_named(value->is_string() ? value->get<std::string>() : value->dump());
  }

  const std::string& name() const { return records_.name(); }
  int exit_code() const { return rejects_.count() > 0 ? exit_rejects : exit_ok; }

 private:
  FieldMap map_;
  RecordReader records_;
  Rejects rejects_;
  ExcludedRecords excluded_;
  LeftOutList left_out_;
  std::string group_by_;
};

void print_report(const Evaluation& evaluation, const std::optional<EvaluatedModel>& model,
                  const Options& options) {
  LineWriter out = standard_output();
  out.text(options.flag("json") ? json_report(evaluation, model) : table_report(evaluation, model));
  out.flush();
}

int evaluate_completions(const Options& options) {
  for (const OptionSpec& option : context_options()) {
    const bool given =
        option.kind == OptionKind::flag ? options.flag(option.name) : options.has(option.name);
    if (given) fail(ErrorKind::usage, "--{} needs --model DIR", option.name);
  }
  if (options.integer("max-tokens", 0, 1 << 30) > 0) {
    fail(ErrorKind::usage, "--max-tokens needs --model DIR");
  }
  EvaluationData data(options, PromptTemplate::decoder_default());
  Evaluation evaluation;
  data.for_each([&](const Record& record) {
    Scores scores;
    scores.records = 1;
    scores.exact = exact_match(record.string("completion"), record.string("output")) ? 1 : 0;
    evaluation.add(data.group_of(record, evaluation), scores);
    return true;
  });
  print_report(evaluation, std::nullopt, options);
  return data.exit_code();
}

/// Nothing where the record is longer than --max-tokens.
std::optional<EvaluationItem> item_of(const Record& record, EvaluationData& data,
                                      const ContextReader& contexts, const ModelFiles& files,
                                      const ModelSpec& shapes) {
  const std::string& where = data.name();
  EvaluationItem item;
  item.context = contexts.read_any_length(record, where);
  item.reference = record.string("output");
  item.labels = answer_tokens(item.reference, files.tokenizer);
  item.ordinal = record.ordinal;
  if (item.labels.empty()) {
    fail(ErrorKind::data, "{}:{}: field \"output\" has no tokens: there is nothing to predict",
         where, record.line);
  }
  const std::int64_t tokens = item.context.answer_position() + std::ssize(item.labels);
  if (data.too_long(record, tokens)) return std::nullopt;
  if (shapes.max_positions > 0 && tokens > shapes.max_positions) {
    fail(ErrorKind::data,
         "{}:{}: the record and its answer take {} tokens, but the model has {} positions; "
         "--max-tokens {} leaves longer ones out",
         where, record.line, tokens, shapes.max_positions, shapes.max_positions);
  }
  return item;
}

int evaluate_model(const Options& options) {
  const ModelFiles files(options.text("model"));
  std::unique_ptr<Family> family = family_of(files, options);
  const ModelSpec shapes = family->spec();
  const GenerationOptions generation = generation_options(files, options);
  ContextReader contexts(files, shapes, options);
  const EvaluatedModel evaluated{files.path, contexts.condition(), contexts.gist_tokens(),
                                 options.has("store") ? options.text("store") : ""};
  EvaluationData data(options, contexts.prompt_template());
  Evaluation evaluation;
  std::vector<EvaluationItem> items;
  data.for_each([&](const Record& record) {
    std::optional<EvaluationItem> item = item_of(record, data, contexts, files, shapes);
    if (!item) return false;
    item->group = data.group_of(record, evaluation);
    items.push_back(std::move(*item));
    return true;
  });
  const Engine engine = load_engine(files, std::move(family), options);
  measure_loss(items, engine.model, contexts, generation.batch_tokens, evaluation);
  measure_exact_match(items, engine.model, contexts, files.tokenizer, generation, evaluation);
  print_report(evaluation, evaluated, options);
  return data.exit_code();
}

int run(const Options& options) {
  check_standard_input(options);
  return options.has("model") ? evaluate_model(options) : evaluate_completions(options);
}

}  // namespace

Command evaluate_command() {
  return {spec(), run};
}

}  // namespace gist
