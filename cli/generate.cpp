// gist generate: completions of records, from stored gists or under a condition.
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/commands.h"
#include "cli/completion_file.h"
#include "cli/context_options.h"
#include "cli/exit_code.h"
#include "cli/generate_session.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/progress.h"
#include "cli/record_options.h"
#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/files/sha256.h"
#include "formats/model/fingerprint.h"
#include "formats/sequences/context.h"
#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {
namespace {

CommandSpec generate_spec() {
  return {"generate",
          "--model DIR [--store STORE] [[--input] FILE|-] [OPTION ...]",
          "complete records, from stored gists or from their instructions",
          "",
          joined({{{"input", OptionKind::text, "FILE", "-",
                    "JSONL, a JSON array or *.tsv, perhaps .gz or .zst: {\"gist\", \"input\"} with "
                    "--store; {\"instruction\", \"input\"} or {\"text\"} without; - for standard "
                    "input"},
                   {"output", OptionKind::text, "FILE", "",
                    "write completions to FILE.partial, and rename it to FILE at the end"},
                   {"resume", OptionKind::flag, "", "",
                    "go on with what FILE.partial holds (with the same options)"},
                   {"force", OptionKind::flag, "", "", "replace FILE, discard FILE.partial"}},
                  context_options(),
                  {{"max-new-tokens", OptionKind::integer, "N", "256", "the longest completion"},
                   {"temperature", OptionKind::real, "T", "0", "0: always the likeliest token"},
                   {"top-k", OptionKind::integer, "N", "0", "draw among the N likeliest; 0: all"},
                   {"top-p", OptionKind::real, "P", "1",
                    "draw among the likeliest that have this probability together"},
                   {"seed", OptionKind::integer, "N", "0", "of the draws"},
                   {"stop", OptionKind::list, "TEXT", "",
                    "end before this text; may be given more than once"},
                   {"batch-rows", OptionKind::integer, "N", "64", "records that run together"},
                   {"batch-tokens", OptionKind::integer, "N", "4096",
                    "tokens of one pass; a longer record has a pass of its own"},
                   {"line-buffered", OptionKind::flag, "", "",
                    "answer each record before the next is read"}},
                  field_options(),
                  reject_options(),
                  model_options(),
                  adapter_option(),
                  config_options()}),
          "input",
          "  echo '{\"gist\": \"a\", \"input\": \"cat, lake, red\"}' |\n"
          "    gist generate --model my-gist-model --store gists.h5\n"};
}

/// GenerateRequest holds what the options say.
struct GenerateRequest {
  std::string model;  // its directory
  std::string input;
  std::optional<std::string> output;  // nothing: standard output
  CompletionFile::Mode mode = CompletionFile::Mode::begin;
  ModelSetup setup;
  ContextRequest contexts;
  GenerationOptions generation;  // without the model's tokens
  std::vector<std::string> stops;
  RecordRequest records;
  RejectsRequest rejects;
  bool line_buffered = false;
};

std::vector<std::string> stop_strings(const Options& options) {
  std::vector<std::string> stops = options.list("stop");
  for (const std::string& stop : stops) {
    if (stop.empty()) fail(ErrorKind::usage, "--stop: an empty text would stop everything");
  }
  return stops;
}

void read_output(const Options& options, GenerateRequest& request) {
  const bool resume = options.flag("resume");
  const bool force = options.flag("force");
  if (resume && force) fail(ErrorKind::usage, "--resume and --force exclude each other");
  if (options.has("output") && options.text("output") != "-") {
    request.output = options.text("output");
  } else if (resume || force) {
    fail(ErrorKind::usage, "--{} needs --output FILE", resume ? "resume" : "force");
  }
  if (resume) request.mode = CompletionFile::Mode::resume;
  if (force) request.mode = CompletionFile::Mode::replace;
}

GenerateRequest generate_request(const Options& options) {
  GenerateRequest request;
  request.model = options.text("model");
  request.input = options.text("input");
  read_output(options, request);
  request.setup = setup_of(options);
  if (options.has("adapter")) request.setup.adapter = options.text("adapter");
  request.contexts = context_request(options);
  request.generation = generation_options(options);
  request.stops = stop_strings(options);
  request.records = record_request(options);
  request.rejects = rejects_request(options);
  request.line_buffered = options.flag("line-buffered");
  return request;
}

/// Warns where options choose among draws though none are made.
void warn_of_no_draws(const GenerationOptions& generation) {
  const SamplingOptions& sampling = generation.sampling;
  if (sampling.temperature > 0) return;
  for (const auto& [option, given] :
       {std::pair{"top-k", sampling.top_k != 0}, std::pair{"top-p", sampling.top_p != 1.0F}}) {
    if (given) {
      spdlog::warn("--{} has no effect at --temperature 0, which takes the likeliest token",
                   option);
    }
  }
}

/// Returns the settings that decide the completions: a run that resumes must agree with them. Left
/// out is what only decides in what pieces and where they are computed, and can move but the last
/// bits of a sum.
nlohmann::ordered_json settings_of(const ModelFiles& files, const ContextReader& contexts,
                                   const GenerateRequest& request) {
  const GenerationOptions& generation = request.generation;
  return {
      {"ignore-tensors", setting_of_names(files.ignored_tensors)},
      {"model", to_hex(sha256(model_sha256(files.checkpoint) + text_of_json(files.config) +
                              files.tokenizer.sha256()))},
      {"adapter", files.adapter ? nlohmann::ordered_json(model_sha256(files.adapter->checkpoint))
                                : nlohmann::ordered_json()},
      {"store", contexts.store_digest()},
      {"condition", contexts.gisting_used() ? name_of(contexts.gisting_used()->condition) : ""},
      {"gist-tokens", contexts.gisting_used() ? contexts.gisting_used()->gist_tokens : 0},
      {"template", contexts.prompt_template().json()},
      {"fields", request.records.fields.value_or("")},
      {"max-new-tokens", generation.max_new_tokens},
      {"temperature", generation.sampling.temperature},
      {"top-k", generation.sampling.top_k},
      {"top-p", generation.sampling.top_p},
      {"seed", generation.seed},
      {"stop", request.stops},
      {"dtype", name_of(request.setup.compute.dtype)}};
}

/// A person who types records wants each answered, as --line-buffered does.
bool answers_each(const GenerateRequest& request, const CompletionOutput& output) {
  const bool typed = request.input == "-" && ::isatty(STDIN_FILENO) == 1;
  return request.line_buffered || (output.streams && typed);
}

std::string resume_hint(const CompletionFile* file) {
  if (file == nullptr || !file->has_lines()) return "";
  return fmt::format("finished completions are in {}: --resume goes on", file->where());
}

[[noreturn]] void end_interrupted(const Signals& signals, std::optional<CompletionFile>& file) {
  const std::string hint = resume_hint(file ? &*file : nullptr);
  spdlog::warn("interrupted{}{}", hint.empty() ? "" : ": ", hint);
  file.reset();
  signals.end_by_signal();
}

int run_generate(const Options& options) {
  const Signals signals;
  const Stopwatch watch;
  const GenerateRequest request = generate_request(options);
  const ModelSetup& setup = request.setup;
  const ModelFiles files = open_model_and_tell(request.model, setup);
  std::unique_ptr<Family> family = family_of(files, setup);
  const ModelSpec shapes = family->spec();
  GenerationOptions generation = request.generation;
  generation.ends = files.ends.ids;
  ban(files.tokenizer.gist_ids(), generation.sampling);
  warn_of_no_draws(generation);
  ContextReader contexts(files, shapes, context_source(request.contexts, files, shapes));
  const FieldMap map = field_map(request.records, contexts.prompt_template());
  RecordReader records(request.input, map, signals.wake_descriptor(), request.records.most_bytes);
  Rejects rejects(request.rejects);

  std::optional<CompletionFile> file;
  if (request.output) {
    file.emplace(*request.output, request.mode, settings_of(files, contexts, request));
  }
  LineWriter out = standard_output();
  CompletionOutput output;
  output.file = file ? &*file : nullptr;
  output.out = !file ? &out : file->finished() ? nullptr : &file->out();
  output.streams = !file && ::isatty(STDOUT_FILENO) == 1;
  if (answers_each(request, output)) generation.max_rows = 1;

  GenerateSession session(source_of(records), rejects, contexts, files.tokenizer, output,
                          request.stops, signals);
  if (file && file->finished()) {
    session.check_finished();
    if (signals.requested()) end_interrupted(signals, file);
    rejects.tell_listed();
    return rejects.count() > 0 ? exit_rejects : exit_ok;
  }
  try {
    std::optional<Activity> loading("loading " + files.path);
    const LoadedModel loaded = load_model(files, std::move(family), open_backend(setup));
    loading.reset();
    if (!output.streams) {
      spdlog::debug("answering {} by {}{}", records.name(),
                    model_in_words(files.path, shapes, *loaded.backend, setup),
                    file ? ", into " + *request.output : "");
    }
    session.run(loaded.model, generation);
  } catch (const Error& error) {
    const std::string hint = resume_hint(output.file);
    if (hint.empty()) throw;
    throw Error(error.kind(), fmt::format("{} ({})", error.what(), hint));
  }
  if (signals.requested()) end_interrupted(signals, file);
  if (out.closed()) return exit_ok;
  if (file) file->publish();
  rejects.tell_listed();
  if (!output.streams) {
    spdlog::debug("{} answered in {}{}", counted(session.answered(), "record"),
                  duration_in_words(watch.seconds()), file ? "; " + options.text("output") : "");
  }
  return rejects.count() > 0 ? exit_rejects : exit_ok;
}

}  // namespace

Command generate_command() {
  return {generate_spec(), run_generate};
}

}  // namespace gist
