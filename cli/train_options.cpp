#include "cli/train_options.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/apply_diff.h"
#include "cli/exclude.h"
#include "cli/model_options.h"
#include "cli/record_options.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "formats/files/text.h"
#include "formats/model/named_templates.h"
#include "formats/records/record_reader.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr std::int64_t usual_samples = 3;
constexpr std::int64_t most_samples = 16;
constexpr std::int64_t no_limit = std::numeric_limits<std::int64_t>::max();

Schedule schedule_option(const Options& options) {
  const std::string name = options.text("schedule");
  const std::optional<Schedule> schedule = schedule_named(name);
  if (!schedule) {
    fail(ErrorKind::usage, "--schedule: expected linear, cosine or constant, found {}",
         in_quotes(name));
  }
  return *schedule;
}

/// A list's values, each of which may be several, separated by commas.
std::vector<std::string> words_in(const std::vector<std::string>& values) {
  std::vector<std::string> words;
  for (const std::string& value : values) {
    for (std::size_t begin = 0; begin <= value.size();) {
      const std::size_t end = std::min(value.find(',', begin), value.size());
      words.push_back(value.substr(begin, end - begin));
      begin = end + 1;
    }
  }
  return words;
}

std::string template_names() {
  std::vector<std::string_view> names;
  for (const NamedTemplate& entry : named_templates()) names.push_back(entry.name);
  return fmt::format("{}", fmt::join(names, ", "));
}

/// The layout that --template names, or that of its file; a file of such a name is ./NAME.
PromptTemplate template_of(const std::string& name, const Tokenizer& tokenizer) {
  if (const auto layout = template_named(name, tokenizer.adds_bos())) return *layout;
  if (!may_exist(name)) {
    fail(ErrorKind::no_input,
         "--template: found no file {}, and no layout has this name; there are {}", in_quotes(name),
         template_names());
  }
  return PromptTemplate::parse(parse_json(read_file(name), name), name);
}

void read_length(const Options& options, TrainTask& task) {
  if (options.has("steps") == options.has("epochs")) {
    fail(ErrorKind::usage, "give either --steps or --epochs");
  }
  if (options.has("steps")) task.steps = options.integer("steps", 1, 1'000'000'000);
  if (options.has("epochs")) task.epochs = options.integer("epochs", 1, 1'000'000);
}

void read_optimiser(const Options& options, TrainTask& task) {
  task.learning_rate = options.real("lr", 0, 1e3);
  task.schedule = schedule_option(options);
  task.warmup = options.integer("warmup", 0, no_limit);
  AdamwOptions& adamw = task.training.adamw;
  adamw.beta2 = options.real("beta2", 0, 1);
  if (adamw.beta2 == 1) fail(ErrorKind::usage, "--beta2: expected a number below 1, found 1");
  adamw.weight_decay = options.real("weight-decay", 0, 1e3);
  adamw.max_norm = options.real("clip", 0, 1e9);
  task.training.label_smoothing = options.real("label-smoothing", 0, 1);
  if (task.training.label_smoothing == 1) {
    fail(ErrorKind::usage, "--label-smoothing: expected a number below 1, found 1");
  }
}

/// --adapter and what says how it is made.
void read_adapter(const Options& options, TrainRequest& request) {
  constexpr const char* lora = "lora";
  if (!options.has("adapter") || options.text("adapter") == "none") {
    for (const char* name : {"lora-rank", "lora-alpha", "lora-dropout", "lora-targets"}) {
      if (options.has(name)) fail(ErrorKind::usage, "--{} needs --adapter {}", name, lora);
    }
    return;
  }
  if (options.text("adapter") != lora) {
    fail(ErrorKind::usage,
         "--adapter: expected {}, the kind of adapter to train, or none; found {}", lora,
         in_quotes(options.text("adapter")));
  }
  if (!request.model) {
    fail(ErrorKind::usage, "--adapter needs --model: --init starts without a model to adapt");
  }
  AdapterSpec& adapter = request.task.adapter.emplace();
  if (options.has("lora-rank")) {
    adapter.rank = static_cast<int>(options.integer("lora-rank", 1, 4096));
  }
  adapter.alpha = 2 * static_cast<float>(adapter.rank);
  if (options.has("lora-alpha")) {
    adapter.alpha = static_cast<float>(options.real("lora-alpha", 1e-6, 1e6));
  }
  if (options.has("lora-dropout")) {
    adapter.dropout = static_cast<float>(options.real("lora-dropout", 0, 0.99));
  }
  adapter.targets = words_in(options.list("lora-targets"));
}

/// The targets, where the options leave them to the model; a message for what can't be.
void complete_adapter(const ModelSpec& spec, TrainTask& task) {
  if (!task.adapter) return;
  if (task.gisting.condition != Condition::gist) {
    fail(
        ErrorKind::usage,
        "--adapter acts on gist tokens alone, and under {} nothing depends on them: train it under "
        "gist (--condition)",
        name_of(task.gisting.condition));
  }
  if (task.adapter->targets.empty()) task.adapter->targets = all_targets(spec);
}

/// --teacher or --teacher-logprobs. False: there is neither.
bool read_whom(const Options& options, TrainRequest& request) {
  if (options.has("teacher-logprobs")) {
    if (options.has("teacher")) {
      fail(ErrorKind::usage, "--teacher and --teacher-logprobs exclude each other: it is either");
    }
    request.teacher_logprobs = options.text("teacher-logprobs");
    return true;
  }
  if (!options.has("teacher")) return false;
  request.teacher = options.text("teacher");
  if (*request.teacher == "self") request.teacher = request.model;
  if (!request.teacher) {
    fail(ErrorKind::usage,
         "--teacher self is the model of --model: --init starts without one; name a directory");
  }
  return true;
}

void read_teacher(const Options& options, TrainRequest& request) {
  if (!read_whom(options, request)) {
    for (const char* name : {"distill", "temperature"}) {
      if (!options.has(name)) continue;
      fail(ErrorKind::usage,
           "--{} says how a teacher teaches: it needs --teacher DIR or self, or --teacher-logprobs",
           name);
    }
    return;
  }
  DistillationOptions& distillation = request.task.distillation.emplace();
  if (options.has("distill")) {
    distillation.weight = static_cast<float>(options.real("distill", 0, 1));
    if (distillation.weight == 0) {
      fail(ErrorKind::usage,
           "--distill: expected a number above 0, the teacher's share of the loss");
    }
  }
  if (options.has("temperature")) {
    distillation.temperature = static_cast<float>(options.real("temperature", 1e-3, 1e3));
  }
}

/// Returns what --samples says; without it, a few where a report shows them, and else none.
std::int64_t samples_option(const Options& options) {
  const bool held_out = options.has("eval-data");
  if (!options.has("samples")) return held_out && options.has("report") ? usual_samples : 0;
  const std::int64_t samples = options.integer("samples", 0, most_samples);
  if (samples > 0 && !held_out) {
    fail(ErrorKind::usage, "--samples answers held-out records: it needs --eval-data FILE");
  }
  return samples;
}

/// "A-B", or nothing where it is a number alone.
std::optional<std::pair<std::int32_t, std::int32_t>> range_in(const std::string& text) {
  const std::size_t dash = text.find('-', 1);
  if (dash == std::string::npos) return std::nullopt;
  std::pair<std::int32_t, std::int32_t> range;
  const auto parse = [](std::string_view part, std::int32_t& number) {
    const auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), number);
    return error == std::errc() && stop == part.data() + part.size();
  };
  const std::string_view whole = text;
  if (!parse(whole.substr(0, dash), range.first) || !parse(whole.substr(dash + 1), range.second) ||
      range.first < 1 || range.second < range.first || range.second > most_gist_ids) {
    fail(ErrorKind::usage,
         "--gist-tokens: expected a number, or A-B with 1 <= A <= B <= {}; found {}", most_gist_ids,
         in_quotes(text));
  }
  return range;
}

/// --condition, --gist-tokens, --gist-ids and --gist-init.
void read_gisting(const Options& options, TrainRequest& request) {
  Options numbers = options;
  if (options.has("gist-tokens")) {
    if (const auto range = range_in(options.text("gist-tokens"))) {
      const auto [least, most] = *range;
      numbers = options.with("gist-tokens", std::to_string(most));
      if (least < most) request.task.least_gist_tokens = least;
    }
  }
  request.gisting = gisting_request(numbers);
  request.task.gist_init = words_in(options.list("gist-init"));
  if (!options.has("gist-ids")) return;
  const std::string name = options.text("gist-ids");
  if (name != "one" && name != "distinct") {
    fail(ErrorKind::usage, "--gist-ids: expected one or distinct, found {}", in_quotes(name));
  }
  request.distinct_ids = name == "distinct";
}

/// The task's range of gist tokens and their ids, where the options leave them to gist.json, too.
void complete_gist_ids(const TrainRequest& request, const BaseModel& base, TrainTask& task) {
  const GistIds known = base.settings ? base.settings->distinct_ids : GistIds();
  if (base.settings && !request.gisting.gist_tokens) {
    const std::int32_t least = base.settings->least_gist_tokens;
    task.least_gist_tokens = least < base.settings->gist_tokens ? least : 0;
  }
  const std::int32_t most = task.gisting.gist_tokens;
  if (most == 0 && (request.distinct_ids.value_or(false) || !task.gist_init.empty())) {
    fail(ErrorKind::usage, "--gist-ids and --gist-init need --gist-tokens of 1 or more");
  }
  if (!request.distinct_ids.value_or(known.distinct())) return;
  if (most > most_gist_ids) {
    fail(ErrorKind::usage, "--gist-ids distinct: expected at most {} gist tokens, found {}",
         most_gist_ids, most);
  }
  task.distinct_ids = std::max(most, known.any() ? known.count : 1);
}

TrainFiles train_files(const Options& options) {
  TrainFiles files;
  files.setup = setup_of(options);
  files.data = options.text("data");
  if (options.has("eval-data")) files.held_out = options.text("eval-data");
  if (options.has("report")) files.report = options.text("report");
  files.resume = options.flag("resume");
  files.plan_only = options.flag("dry-run");
  files.names_condition = options.has("condition");
  files.excluded = options.list("exclude");
  files.rejects = rejects_request(options);
  if (files.plan_only && files.report) {
    fail(ErrorKind::usage, "--dry-run has nothing to draw: leave out --report");
  }
  return files;
}

void read_base(const Options& options, TrainRequest& request) {
  if (options.has("model") == options.has("init")) {
    fail(ErrorKind::usage, "give either --model DIR, or --init CONFIG.json --tokenizer FILE");
  }
  if (options.has("init") != options.has("tokenizer")) {
    fail(ErrorKind::usage, "--init and --tokenizer belong together");
  }
  if (options.has("model")) {
    request.model = options.text("model");
    return;
  }
  if (!request.files.setup.ignored_tensors.empty()) {
    fail(ErrorKind::usage, "--ignore-tensors needs --model: --init starts without tensors");
  }
  if (options.has("gist-init")) {
    fail(ErrorKind::usage, "--gist-init needs --model: --init starts without rows of words");
  }
  request.init = options.text("init");
  request.tokenizer = options.text("tokenizer");
}

}  // namespace

std::vector<OptionSpec> train_options() {
  const TrainTask usual;
  return {
      {"init", OptionKind::text, "CONFIG.json", "",
       "in place of --model: a new model of this configuration; needs --tokenizer"},
      {"tokenizer", OptionKind::text, "FILE", "",
       "with --init: directory, SentencePiece file or tokenizer.json"},
      {"data", OptionKind::text, "FILE", "",
       "JSONL, a JSON array or *.tsv, perhaps .gz or .zst, with \"instruction\", \"input\" and "
       "\"output\"; - for standard input"},
      {"output", OptionKind::text, "DIR", "", "where the model, checkpoints and metrics go"},
      {"recipe", OptionKind::text, "NAME", "",
       "defaults of the options below. paper: the answers' cross-entropy alone, as Mu et al. trained "
       "LLaMA-7B; distill: an adapter learns from the model itself. --print-config shows them"},
      {"teacher", OptionKind::text, "DIR", "",
       "learn from the next-token distributions of this model, which reads the whole prompt; self: "
       "the model of --model as it is now"},
      {"teacher-logprobs", OptionKind::text, "FILE", "",
       "in place of --teacher: what the teacher expected of the records, as evaluate's "
       "--write-logprobs wrote it"},
      {"distill", OptionKind::real, "W", "",
       "the teacher's share of the loss, the labels have the rest; by default 0.5"},
      {"temperature", OptionKind::real, "T", "",
       "of both models' distributions in the teacher's share; by default 1"},
      {"adapter", OptionKind::text, "lora", "",
       "train a low-rank adapter that acts on gist tokens alone, and leave the model as it is; none: "
       "train the model, as is done without this"},
      {"lora-rank", OptionKind::integer, "R", "", "the adapter's rank; by default 16"},
      {"lora-alpha", OptionKind::real, "A", "",
       "what it adds counts A / R times; by default A is 2 R"},
      {"lora-dropout", OptionKind::real, "P", "", "of what it reads, in training; by default 0"},
      {"lora-targets", OptionKind::list, "NAME", "",
       "the matrices that it acts on, by the ends of their names (q_proj); once or as a list "
       "separated by ','; by default all of the layers"},
      {"condition", OptionKind::text, "NAME", "",
       "gist, pos or neg; by default what gist.json says"},
      {"gist-tokens", OptionKind::text, "K", "",
       "gist tokens after the prompt; A-B: each step draws from A to B for each record, and compress "
       "chooses; by default what gist.json says"},
      {"gist-ids", OptionKind::text, "NAME", "",
       "one: all gist tokens have one id; distinct: each has its own, <GIST>, <GIST1>, ...; by default "
       "what gist.json says, else one"},
      {"gist-init", OptionKind::list, "WORD", "",
       "what new gist tokens start from: a word for each, once or as a list separated by ','; by "
       "default parts of the embedding table"},
      {"template", OptionKind::text, "NAME", "",
       "layout of a record: " + template_names() +
           " or a FILE, a JSON list of pieces; by default what the model's tokens say"},
      {"max-tokens", OptionKind::integer, "N", "0",
       "leave longer records out, and list them in DIR/left_out.jsonl; 0: none"},
      {"steps", OptionKind::integer, "N", "", "optimiser steps; or --epochs"},
      {"epochs", OptionKind::integer, "N", "", "passes over the data, shuffled anew each time"},
      {"batch-records", OptionKind::integer, "N", std::to_string(usual.batch_records),
       "records of a step"},
      {"batch-tokens", OptionKind::integer, "N", std::to_string(usual.training.batch_tokens),
       "tokens of one pass: a step of more is split, with the same result (but for what dropout "
       "draws)"},
      {"recompute", OptionKind::flag, "", "",
       "keep only the layers' inputs: less memory, more time"},
      {"lr", OptionKind::real, "X", "", "learning rate at its peak"},
      {"schedule", OptionKind::text, "NAME", "linear",
       "linear or cosine (to 0) or constant, after the warm-up"},
      {"warmup", OptionKind::integer, "N", "0", "steps in which the rate rises to --lr"},
      {"beta2", OptionKind::real, "X", "0.999", "AdamW's; beta1 is 0.9, eps 1e-8"},
      {"weight-decay", OptionKind::real, "X", "0", "AdamW's, of matrices and tables"},
      {"clip", OptionKind::real, "X", "1", "largest norm of the gradient; 0: any"},
      {"label-smoothing", OptionKind::real, "X", "0",
       "share of the target that is spread over the vocabulary"},
      {"seed", OptionKind::integer, "N", "0", "of the order of records and of new weights"},
      {"eval-data", OptionKind::text, "FILE", "", "held-out records: the best checkpoint is kept"},
      {"eval-every", OptionKind::integer, "N", std::to_string(usual.eval_every),
       "steps between evaluations"},
      {"samples", OptionKind::integer, "N", "",
       "held-out records, the first ones, that each evaluation answers, for the report; by default "
       "3 with --report"},
      {"save-every", OptionKind::integer, "N", std::to_string(usual.save_every),
       "steps between checkpoints; 0: none"},
      {"keep", OptionKind::integer, "N", std::to_string(usual.keep),
       "how many of the last checkpoints are kept"},
      {"report", OptionKind::text, "FILE", "",
       "an HTML page with the run's curves and samples, drawn anew at each evaluation and "
       "checkpoint"},
      {"resume", OptionKind::flag, "", "", "go on from the last checkpoint in DIR"},
      {"dry-run", OptionKind::flag, "", "", "print what it would take, and end"},
      {apply_diff_option, OptionKind::text, "BASE", "",
       "train nothing: add the weights of the model BASE to those of --model, a published "
       "difference to it, and write the sum to --output"}};
}

// paper: https://github.com/jayelm/gisting, the run of LLaMA-7B: 3,000 steps, of which 3 % warm up.
// distill: what the adapter for SmolLM2-135M-Instruct was trained with, but for its rank (README.md).
OptionSets train_recipes() {
  return {"recipe",
          {{"paper",
            {{"condition", "gist"},
             {"gist-tokens", "1"},
             {"batch-records", "128"},
             {"lr", "2e-5"},
             {"schedule", "cosine"},
             {"warmup", "90"}}},
           {"distill",
            {{"condition", "gist"},
             {"gist-tokens", "1-10"},
             {"gist-ids", "distinct"},
             {"teacher", "self", "teacher-logprobs"},
             {"distill", "1"},
             {"adapter", "lora"},
             {"batch-records", "16"},
             {"lr", "1e-3"},
             {"warmup", "100"}}}}};
}

TrainRequest train_request(const Options& options) {
  TrainRequest request;
  request.files = train_files(options);
  read_base(options, request);
  if (options.has("template")) request.prompt_template = options.text("template");
  request.records = record_request(options);
  check_standard_input(options);
  read_gisting(options, request);
  TrainTask& task = request.task;
  task.output = options.text("output");
  task.max_record_bytes = request.records.most_bytes;
  read_length(options, task);
  task.batch_records = options.integer("batch-records", 1, 1 << 24);
  task.max_tokens = options.integer("max-tokens", 0, 1 << 30);
  read_optimiser(options, task);
  read_adapter(options, request);
  read_teacher(options, request);
  task.seed = static_cast<std::uint64_t>(options.integer("seed", 0, no_limit));
  task.training.batch_tokens = options.integer("batch-tokens", 1, 1 << 28);
  task.training.recompute = options.flag("recompute");
  task.training.seed = task.seed;
  task.eval_every = options.integer("eval-every", 1, no_limit);
  task.samples = samples_option(options);
  task.save_every = options.integer("save-every", 0, no_limit);
  task.keep = options.integer("keep", 1, no_limit);
  return request;
}

BaseModel base_model(const TrainRequest& request) {
  if (!request.model) return base_from_config(request.init, request.tokenizer);
  return base_from_model(open_model_and_tell(*request.model, request.files.setup));
}

TrainTask train_task(const TrainRequest& request, const BaseModel& base, const ModelSpec& spec) {
  TrainTask task = request.task;
  task.gisting = gisting_of(request.gisting, base.settings, base.name, spec, base.tokenizer);
  require_gist_tokens(task.gisting);
  complete_gist_ids(request, base, task);
  complete_adapter(spec, task);
  if (request.prompt_template) {
    task.gisting.prompt_template = template_of(*request.prompt_template, base.tokenizer);
    task.gisting.prompt_template.require_tokens(base.tokenizer);
  }
  task.fields = field_map(request.records, task.gisting.prompt_template);
  return task;
}

}  // namespace gist
