#include "gist/compress_store.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "formats/files/json_text.h"
#include "formats/files/output_lock.h"
#include "formats/files/text.h"
#include "formats/sequences/store_of_model.h"
#include "formats/store/store_digest.h"
#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// Two settings of a staging file that are not compared: whether the run may replace a store, and
/// beyond which divergence it rejects a checked prompt, if beyond any.
constexpr const char* replace_key = "force";
constexpr const char* max_kl_key = "max-kl";

/// Returns what a resumed run must agree with, besides the store's header. The names and values are
/// those of the options of gist compress, so that it can go on with what another program began.
nlohmann::ordered_json settings_of(const StoreTask& task, const CompressRun& run) {
  const WholePromptModel* check = run.check;
  std::vector<std::string> ignored = run.files.ignored_tensors;
  std::string checked;
  if (check != nullptr) {
    for (const std::string& name : check->ignored_tensors()) ignored.push_back(name);
    const std::optional<std::size_t> sample = check->task().sample;
    checked = sample ? std::to_string(*sample) : "all";
  }
  const CompressionTask& compression = task.compression;
  const GistStore* known = compression.known;
  return {{"ignore-tensors", setting_of_names(ignored)},
          {"dtype", name_of(task.compute)},
          {"fields", task.fields},
          {"check", checked},
          {"check-model", check == nullptr ? "" : check->model_sha256()},
          {"batch-tokens", std::to_string(task.limits.tokens)},
          {"line-buffered", task.limits.records == 1},
          {"shard", fmt::format("{}/{}", compression.shard.index, compression.shard.count)},
          {"max-tokens", std::to_string(compression.max_tokens)},
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
  fail(ErrorKind::usage, "{} was begun {}: repeat the options, or start anew (--force)", partial,
       setting);
}

/// The staging file of this run: a new one, or the one that is there where it resumes. Nothing
/// where it resumes and the store is finished.
std::optional<Staging> open_staging(const StoreTask& task, const StoreHeader& header,
                                    const CompressRun& run) {
  const std::filesystem::path& store = task.path;
  const std::filesystem::path partial = Staging::path_for(store);
  const nlohmann::ordered_json settings = settings_of(task, run);
  const bool replace = task.begin == StoreBegin::replace;
  const bool resume = task.begin == StoreBegin::resume;
  std::optional<Staging> staged;
  if (replace) {
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
         "{} holds an unfinished run of {}: go on with it (--resume), publish it as it is "
         "(--finish), or discard it (--force)",
         partial.string(), counted(staged->records(), "record"));
  }
  if (is_taken(store) && !is_empty_file(store)) {
    if (resume) return std::nullopt;
    if (!replace) {
      fail(ErrorKind::cannot_create,
           "{} exists: choose another path (--output), or replace it (--force)", store.string());
    }
  }
  nlohmann::ordered_json all_settings = settings;
  all_settings[replace_key] = replace;
  if (run.check != nullptr && run.check->task().max_kl) {
    all_settings[max_kl_key] = *run.check->task().max_kl;
  }
  return Staging::create(partial, header, text_of_json(all_settings));
}

/// Whether the run was begun so that it may replace a store, or may now.
Existing existing_of(const Staging& staging, const std::filesystem::path& store, bool replace) {
  const std::string partial = Staging::path_for(store).string();
  const bool begun_so = parse_json(staging.settings(), partial).value(replace_key, false);
  return begun_so || replace ? Existing::replace : Existing::refuse;
}

/// The largest divergence with which the run was begun.
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

/// Records that are staged stay for a run that resumes; a partial without any record is not worth
/// keeping.
void keep_or_discard(Staging& staging, const CompressEvents& events) {
  if (staging.records() == 0) return staging.discard();
  if (events.left_staged) events.left_staged(staging.records());
}

CompressOutcome compare_with_finished(const StoreTask& task, const StoreHeader& header,
                                      const CompressRun& run, const CompressEvents& events) {
  const GistStore finished(task.path, task.reading);
  check_made_alike(finished, header, true);
  Compressor* compressor = nullptr;  // loaded only where it is needed
  const LateRejection rejection = [&](const Prompt& prompt) -> std::optional<std::string> {
    if (!run.prompts.may_reject()) return std::nullopt;  // the run would not have ended
    if (compressor == nullptr) compressor = &run.load();
    return compressor->objection_to(prompt);
  };
  const bool ended = tell_finished_store(finished, run.prompts, rejection, events);
  return {ended ? CompressOutcome::End::finished_before : CompressOutcome::End::stopped, {}};
}

CompressOutcome compress_and_publish(const StoreTask& task, const CompressRun& run,
                                     Staging& staging, const CompressEvents& events) {
  Compressor& compressor = run.load();
  if (events.started) events.started(compressor);
  CompressSession session(compressor, run.prompts, staging, task.limits, events);
  if (!session.run()) {
    keep_or_discard(staging, events);
    return {CompressOutcome::End::stopped, session.tally()};
  }
  const CompressStepScope step(events, CompressStep::publishing);
  staging.publish(task.path, existing_of(staging, task.path, task.begin == StoreBegin::replace));
  return {CompressOutcome::End::published, session.tally()};
}

}  // namespace

CompressionTask compression_task(const Gisting& gisting, bool full_prompt, const ModelSpec& spec,
                                 const std::string& model) {
  CompressionTask task;
  task.gist_tokens = gisting.gist_tokens;
  task.prompt_template = gisting.prompt_template;
  task.full_prompt = full_prompt;
  if (full_prompt && spec.encoder_decoder()) {
    fail(
        ErrorKind::usage,
        "full prompts (--full-prompt): {} has an encoder, whose prompt sees the input, which comes "
        "later: it can only be kept as gists",
        model);
  }
  if (full_prompt) {
    task.condition = Condition::pos;
    return task;
  }
  if (gisting.condition != Condition::gist) {
    fail(ErrorKind::usage,
         "{}/gist.json: the model was trained under {}, so its gist tokens hold no prompt; use a "
         "model trained under gist, or keep full prompts (--full-prompt)",
         model, name_of(gisting.condition));
  }
  if (task.gist_tokens < 1) {
    fail(ErrorKind::usage, "compressing under gist needs at least one gist token; found {}",
         task.gist_tokens);
  }
  return task;
}

CompressionTask compression_task(const ModelFiles& files, const ModelSpec& spec) {
  if (!files.settings) {
    fail(ErrorKind::usage,
         "{} has no gist.json, which says with how many gist tokens it was trained: say it",
         files.path);
  }
  return compression_task(trained_gisting(*files.settings), false, spec, files.path);
}

CompressOutcome compress_to_store(const StoreTask& task, const CompressRun& run,
                                  const CompressEvents& events) {
  const CompressionTask& compression = task.compression;
  StoreHeader header = store_header(run.files, run.spec, compression.condition,
                                    compression.gist_tokens, compression.prompt_template);
  header.dtype = task.dtype;
  if (compression.known != nullptr) check_made_alike(*compression.known, header, false);
  std::optional<Staging> staging = open_staging(task, header, run);
  if (!staging) return compare_with_finished(task, header, run, events);
  try {
    return compress_and_publish(task, run, *staging, events);
  } catch (...) {  // an event may throw anything
    keep_or_discard(*staging, events);
    throw;
  }
}

CompressOutcome compress_to_store(const StoreTask& task, const ModelFiles& files,
                                  const LoadedModel& model, RecordSource prompts,
                                  PromptEvents prompt_events, const CompressEvents& events) {
  const OutputLock lock = OutputLock::of_file(task.path);
  PromptReader reader(std::move(prompts), files, model.model.spec(), task.compression,
                      std::move(prompt_events));
  std::optional<Compressor> compressor;
  const auto load = [&]() -> Compressor& {
    return compressor.emplace(model.model, task.compression, task.dtype, nullptr);
  };
  return compress_to_store(task, {files, model.model.spec(), reader, nullptr, load}, events);
}

void finish_store(const std::filesystem::path& store, bool replace, const FinishEvents& events) {
  const std::filesystem::path partial = Staging::path_for(store);
  if (!std::filesystem::exists(partial)) {
    fail(ErrorKind::no_input, "{} does not exist: there is nothing to finish", partial.string());
  }
  const OutputLock lock = OutputLock::of_file(store);
  Staging staging = Staging::open(partial);
  const Existing existing = existing_of(staging, store, replace);
  if (is_taken(store) && !is_empty_file(store) && existing == Existing::refuse) {
    fail(ErrorKind::cannot_create, "{} exists: {} can replace it (--finish --force)",
         store.string(), partial.string());
  }
  if (events.opened) events.opened(max_kl_of(staging, partial.string()));
  staging.for_each_record([&events](const StagedRecord& record) {
    if (events.record) events.record(record);
  });
  if (events.records_done) events.records_done();
  staging.publish(store, existing);
}

}  // namespace gist
