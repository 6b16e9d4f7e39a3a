// gist compress: prompts to a gist store, durably.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/check_report.h"
#include "cli/commands.h"
#include "cli/compress_plan.h"
#include "cli/compress_session.h"
#include "cli/exit_code.h"
#include "cli/model_options.h"
#include "cli/model_words.h"
#include "cli/prompt_check.h"
#include "cli/prompt_reader.h"
#include "cli/record_options.h"
#include "cli/run_settings.h"
#include "cli/store_options.h"
#include "cli/words.h"
#include "formats/files/json_text.h"
#include "formats/files/output_lock.h"
#include "formats/files/text.h"
#include "formats/sequences/store_of_model.h"
#include "formats/store/store_digest.h"
#include "kernels/error.h"

namespace gist {
namespace {

CommandSpec compress_spec() {
  return {
      "compress",
      "--model DIR --output STORE [[--input] FILE|-] [OPTION ...]",
      "compress prompts into a gist store",
      "",
      joined({{{"output", OptionKind::text, "STORE", "", "the store to make (HDF5)"},
               {"input", OptionKind::text, "FILE", "-",
                "JSONL, a JSON array or *.tsv, perhaps .gz or .zst, with \"instruction\" and "
                "perhaps \"id\"; - for standard input"},
               {"gist-tokens", OptionKind::integer, "K", "",
                "gist tokens a prompt, where the model has no gist.json"},
               {"store-dtype", OptionKind::text, "NAME", "f32", "f32, bf16 or f16: of the store"},
               {"full-prompt", OptionKind::flag, "", "",
                "keep every token of the prompt, under pos: the instruction-cache baseline"},
               {"known", OptionKind::text, "STORE", "", "skip prompts that stand in this store"},
               trust_store_option(),
               {"shard", OptionKind::text, "I/N", "0/1",
                "only records whose number, from 0, is I modulo N"},
               {"resume", OptionKind::flag, "", "", "go on with what STORE.partial holds"},
               {"force", OptionKind::flag, "", "", "replace STORE, discard STORE.partial"},
               {"finish", OptionKind::flag, "", "",
                "publish STORE.partial as it is; needs no --model and reads no input"},
               {"batch-tokens", OptionKind::integer, "N", "8192",
                "tokens of one pass; a longer prompt has a pass of its own"},
               {"line-buffered", OptionKind::flag, "", "",
                "answer each record before the next is read"},
               {"dry-run", OptionKind::flag, "", "", "print what it would take, and end"}},
              field_options(),
              check_options(),
              left_out_options(),
              reject_options(),
              model_options(),
              config_options()}),
      "input",
      "  gist compress --model my-gist-model --output gists.h5 prompts.jsonl\n"};
}

/// The number that digits spell, and nothing else.
std::optional<std::uint64_t> digits_in(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

Shard shard_option(const Options& options) {
  const std::string text = options.text("shard");
  const std::vector<std::string> parts = split(text, '/');
  const std::optional<std::uint64_t> index = digits_in(parts.front());
  const std::optional<std::uint64_t> count = digits_in(parts.back());
  const bool numbers = parts.size() == 2 && index && count;
  if (!numbers || *index >= *count) {
    fail(ErrorKind::usage, "--shard: expected I/N with I below N, found {}", in_quotes(text));
  }
  return {*index, *count};
}

Dtype store_dtype_option(const Options& options) {
  const std::string name = options.text("store-dtype");
  const std::optional<Dtype> dtype = dtype_named(name);
  if (!dtype || *dtype == Dtype::i32) {
    fail(ErrorKind::usage, "--store-dtype: expected f32, bf16 or f16, found {}", in_quotes(name));
  }
  return *dtype;
}

CompressionTask task_of(const ModelFiles& files, const ModelSpec& spec, const Options& options) {
  const Gisting gisting = gist_options(files, spec, options);
  CompressionTask task;
  task.gist_tokens = gisting.gist_tokens;
  task.prompt_template = gisting.prompt_template;
  task.full_prompt = options.flag("full-prompt");
  task.shard = shard_option(options);
  if (task.full_prompt && spec.encoder_decoder()) {
    fail(ErrorKind::usage,
         "--full-prompt: {} has an encoder, whose prompt sees the input, which comes later: it can "
         "only be kept as gists",
         files.path);
  }
  if (task.full_prompt) {
    task.condition = Condition::pos;
    return task;
  }
  if (gisting.condition != Condition::gist) {
    fail(ErrorKind::usage,
         "{}/gist.json: the model was trained under {}, so its gist tokens hold no prompt; use a "
         "model "
         "trained under gist, or --full-prompt",
         files.path, name_of(gisting.condition));
  }
  if (task.gist_tokens < 1) {
    fail(ErrorKind::usage, "compressing under gist needs at least one gist token; found {}",
         task.gist_tokens);
  }
  return task;
}

/// In the settings of a staging file, but not compared: whether the run may replace a store, and
/// beyond which divergence it rejects a checked prompt, if beyond any.
constexpr const char* replace_key = "force";
constexpr const char* max_kl_key = "max-kl";

/// What a resumed run must agree with, besides the store's header.
nlohmann::ordered_json settings_of(const ModelFiles& files, const Options& options,
                                   const CheckReference* check, const GistStore* known) {
  std::vector<std::string> ignored = files.ignored_tensors;
  if (check != nullptr) {
    for (const std::string& name : check->ignored_tensors()) ignored.push_back(name);
  }
  return {{"ignore-tensors", setting_of_names(ignored)},
          {"dtype", options.text("dtype")},
          {"fields", options.has("fields") ? options.text("fields") : ""},
          {"check", check == nullptr ? "" : options.text("check")},
          {"check-model", check == nullptr ? "" : check->model_sha256()},
          {"batch-tokens", options.text("batch-tokens")},
          {"line-buffered", options.flag("line-buffered")},
          {"shard", options.text("shard")},
          {"max-tokens", options.text("max-tokens")},
          {"known", known == nullptr ? "" : to_hex(store_digest(*known))}};
}

void check_agreement(const Staging& staging, const std::string& partial, const StoreHeader& header,
                     const nlohmann::ordered_json& now) {
  const std::string difference = header_difference(staging.header(), header, true);
  if (!difference.empty()) {
    fail(ErrorKind::data, "{} was begun with another model or other options: {} (there, here)",
         partial, difference);
  }
  const std::string setting = settings_difference(parse_json(staging.settings(), partial), now);
  if (setting.empty()) return;
  fail(ErrorKind::usage, "{} was begun {}: repeat the options, or start anew with --force", partial,
       setting);
}

/// The staging file of this run: a new one, or with --resume the one that is there. Nothing: with
/// --resume the store is finished.
std::optional<Staging> open_staging(const std::filesystem::path& store, const StoreHeader& header,
                                    const nlohmann::ordered_json& settings,
                                    const Options& options) {
  const std::filesystem::path partial = Staging::path_for(store);
  const bool resume = options.flag("resume");
  const bool force = options.flag("force");
  if (resume && force) fail(ErrorKind::usage, "--resume and --force exclude each other");
  std::optional<Staging> staged;
  if (force) {
    Staging::discard_any(partial);
  } else {
    // A run that was killed before its first commit leaves a file that holds nothing, of whatever
    // size: create takes it over.
    staged = Staging::find(partial);
  }
  if (staged && resume) {
    check_agreement(*staged, partial.string(), header, settings);
    return staged;
  }
  if (staged) {
    fail(ErrorKind::cannot_create,
         "{} holds an unfinished run of {}: --resume goes on with it, --finish publishes it as it "
         "is, --force discards it",
         partial.string(), counted(staged->records(), "record"));
  }
  if (is_taken(store) && !is_empty_file(store)) {
    if (resume) return std::nullopt;
    if (!force) {
      fail(ErrorKind::cannot_create, "{} exists: choose another --output, or --force replaces it",
           store.string());
    }
  }
  nlohmann::ordered_json all_settings = settings;
  all_settings[replace_key] = force;
  if (options.has("max-kl")) all_settings[max_kl_key] = *max_kl_option(options);
  return Staging::create(partial, header, text_of_json(all_settings));
}

/// Whether the run was begun with --force, or is now: then it may replace a store.
Existing existing_of(const Staging& staging, const std::string& partial, const Options& options) {
  const bool begun_so = parse_json(staging.settings(), partial).value(replace_key, false);
  return begun_so || options.flag("force") ? Existing::replace : Existing::refuse;
}

/// The --max-kl with which the run was begun.
std::optional<double> max_kl_of(const Staging& staging, const std::string& partial) {
  const nlohmann::json settings = parse_json(staging.settings(), partial);
  const auto found = settings.find(max_kl_key);
  if (found == settings.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

/// Throws Error(data) where the store's rows are not what this run makes.
void check_made_alike(const GistStore& store, const StoreHeader& header, bool with_dtype) {
  const std::string difference = header_difference(store.header(), header, with_dtype);
  if (difference.empty()) return;
  fail(ErrorKind::data, "{} was made in another way: {} (there, here)", store.path().string(),
       difference);
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

int finish_partial(const std::filesystem::path& store, const Options& options) {
  check_options_of_finish(options);
  const std::filesystem::path partial = Staging::path_for(store);
  if (!std::filesystem::exists(partial)) {
    fail(ErrorKind::no_input, "{} does not exist: there is nothing to finish", partial.string());
  }
  const OutputLock lock = OutputLock::of_file(store);
  Staging staging = Staging::open(partial);
  const Existing existing = existing_of(staging, partial.string(), options);
  if (is_taken(store) && !is_empty_file(store) && existing == Existing::refuse) {
    fail(ErrorKind::cannot_create, "{} exists: --finish --force replaces it by {}", store.string(),
         partial.string());
  }
  LineWriter receipts = standard_output();
  CheckReport report(options, max_kl_of(staging, partial.string()));
  bool rejects = false;
  staging.for_each_record([&](const StagedRecord& record) {
    report.add(record);
    if (record.status == StagedRecord::Status::rejected) {
      rejects = true;
    } else {
      receipts.line(receipt(record));
    }
  });
  report.flush();
  staging.publish(store, existing);
  receipts.flush();
  say(report.summary());
  return rejects ? exit_rejects : exit_ok;
}

/// What is staged stays for --resume; a partial without any record is not worth keeping.
std::string keep_or_discard(Staging& staging, const std::filesystem::path& store) {
  if (staging.records() == 0) {
    staging.discard();
    return "";
  }
  const bool one = staging.records() == 1;
  return fmt::format("{} {} staged in {}: --resume goes on, --finish publishes {}",
                     counted(staging.records(), "record"), one ? "is" : "are",
                     Staging::path_for(store).string(), one ? "it" : "them");
}

int run_compress(const Options& options) {
  const std::filesystem::path store = options.text("output");
  if (options.flag("finish")) return finish_partial(store, options);

  const Signals signals;
  const Stopwatch watch;
  std::optional<OutputLock> lock;
  if (!options.flag("dry-run")) lock = OutputLock::of_file(store);
  const ModelSetup setup = setup_of(options);
  const ModelFiles files = open_model_and_tell(options.text("model"), setup);
  std::unique_ptr<Family> family = family_of(files, setup);
  const ModelSpec shapes = family->spec();
  const CompressionTask task = task_of(files, shapes, options);
  const Dtype store_dtype = store_dtype_option(options);
  const BatchLimits limits{static_cast<std::int32_t>(options.integer("batch-tokens", 1, 1 << 28)),
                           options.flag("line-buffered") ? std::size_t{1} : std::size_t{4096}};
  std::optional<GistStore> known;
  if (options.has("known")) known.emplace(options.text("known"), store_reading(options));
  const FieldMap map = field_map(options, task.prompt_template);
  RecordReader input(options.text("input"), map, signals.wake_descriptor(),
                     max_record_bytes(options));
  Rejects rejects(options);
  LeftOutList left_out(options);

  const std::unique_ptr<CheckReference> check = check_reference(files, shapes, task, options);
  PromptReader prompts(input, rejects, files, shapes, task, left_out, known ? &*known : nullptr);
  if (check) prompts.ask(check->questions(), check->task().sample);
  if (options.flag("dry-run")) {
    print_compress_plan(prompts, left_out, files, std::move(family), task, check.get(), store_dtype,
                        limits, setup, signals);
    left_out.warn(prompts.used(), input.name());
    rejects.tell_listed();
    return rejects.count() > 0 ? exit_rejects : exit_ok;
  }

  StoreHeader header =
      store_header(files, shapes, task.condition, task.gist_tokens, task.prompt_template);
  header.dtype = store_dtype;
  if (known) check_made_alike(*known, header, false);
  std::optional<Staging> staging = open_staging(
      store, header, settings_of(files, options, check.get(), known ? &*known : nullptr), options);
  const auto load = [&] {
    const Activity loading("loading " + files.path);
    return std::make_unique<LoadedCompressor>(files, std::move(family), task, check.get(),
                                              store_dtype, limits, setup);
  };
  if (!staging) {
    const GistStore finished(store, store_reading(options));
    check_made_alike(finished, header, true);
    std::unique_ptr<LoadedCompressor> compressor;  // only where it is needed
    const LateRejection rejection = [&](const Prompt& prompt) -> std::optional<std::string> {
      if (!options.flag("keep-going")) return std::nullopt;  // the run would not have ended
      if (!compressor) compressor = load();
      return (*compressor)->objection_to(prompt);
    };
    receipt_finished_store(finished, prompts, rejects, rejection, input.name(), signals);
    left_out.warn(prompts.used(), input.name());
    rejects.tell_listed();
    if (check) spdlog::info("{} is finished: what --check found was said before", store.string());
    return rejects.count() > 0 ? exit_rejects : exit_ok;
  }
  try {
    const std::unique_ptr<LoadedCompressor> compressor = load();
    spdlog::debug("compressing {} by {}, {} a prompt, into {}", input.name(),
                  model_in_words(files.path, shapes, *compressor->loaded().backend, setup),
                  task.full_prompt
                      ? "every token"
                      : counted(static_cast<std::uint64_t>(task.gist_tokens), "gist token"),
                  store.string());
    CheckReport report(options, max_kl_option(options));
    CompressSession session(**compressor, prompts, rejects, *staging, report, limits, input,
                            signals);
    if (!session.run()) {
      const std::string hint = keep_or_discard(*staging, store);
      spdlog::warn("interrupted{}{}", hint.empty() ? "" : ": ", hint);
      staging.reset();
      lock.reset();
      signals.end_by_signal();
    }
    {
      const SignalPatience patience(signals);
      const Activity writing("writing " + store.string());
      staging->publish(store, existing_of(*staging, Staging::path_for(store).string(), options));
    }
    left_out.warn(prompts.used(), input.name());
    rejects.tell_listed();
    say(report.summary());
    spdlog::debug("{} in {}; {}", in_words(session.tally()), duration_in_words(watch.seconds()),
                  store.string());
  } catch (const Error& error) {
    const std::string hint = keep_or_discard(*staging, store);
    if (hint.empty()) throw;
    throw Error(error.kind(), fmt::format("{} ({})", error.what(), hint));
  }
  return rejects.count() > 0 ? exit_rejects : exit_ok;
}

}  // namespace

Command compress_command() {
  return {compress_spec(), run_compress};
}

}  // namespace gist
