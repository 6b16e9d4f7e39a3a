// Prompts into a new store, durably: a staging file beside it (formats/store/staging.h) keeps each
// batch as it is done, so that a run that was interrupted goes on where it ended, and the store
// appears whole at the end.
//
//     gist::ModelSetup setup;
//     const gist::ModelFiles files = gist::open_model("my-gist-model", setup);
//     const gist::LoadedModel model = gist::load_model(
//         files, gist::family_of(files, setup), gist::open_device(setup.device, setup.compute));
//     const std::vector<gist::PromptText> prompts{{"shout", "Answer in capitals."},
//                                                 {"count", "Count the words."}};
//     gist::StoreTask task;
//     task.path = "gists.h5";
//     task.compression = gist::compression_task(files, model.model.spec());
//     gist::compress_to_store(task, files, model, gist::source_of(prompts));
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "formats/sequences/gisting.h"
#include "formats/store/gist_store.h"
#include "formats/store/staging.h"
#include "gist/compress_events.h"
#include "gist/compress_session.h"
#include "gist/compressor.h"
#include "gist/loaded_model.h"
#include "gist/prompt_check.h"
#include "gist/prompt_reader.h"
#include "gist/prompt_source.h"

namespace gist {

/// Returns what compress makes of prompts under such gisting: of each a gist or, for the
/// instruction-cache baseline, with every token. Throws Error(usage) where the model can't do it:
/// `model` names it.
CompressionTask compression_task(const Gisting& gisting, bool full_prompt, const ModelSpec& spec,
                                 const std::string& model);
/// The same as the model's gist.json says. Throws Error(usage) where it has none, too.
CompressionTask compression_task(const ModelFiles& files, const ModelSpec& spec);

/// StoreBegin says what happens where the store, or an unfinished run of it, is there already.
enum class StoreBegin : std::uint8_t {
  create,   // Error(cannot_create)
  resume,   // an unfinished run goes on; a finished store is compared with the input
  replace,  // the unfinished run is discarded at once, the store replaced at the end
};

/// One run of compress.
struct StoreTask {
  std::filesystem::path path;  // the store to make
  CompressionTask compression;
  Dtype dtype = Dtype::f32;    // of the store
  Dtype compute = Dtype::f32;  // in which the model computes; a resumed run must have the same
  BatchLimits limits;
  StoreBegin begin = StoreBegin::create;
  StoreReading reading;  // of a finished store
  std::string fields;    // how the records' fields were mapped, as a resumed run must map them
};

/// CompressOutcome says what became of a run.
struct CompressOutcome {
  enum class End : std::uint8_t {
    published,        // the store is there
    stopped,          // the caller asked for it: see CompressEvents::left_staged
    finished_before,  // the store of an earlier run has just these prompts
  };
  End end = End::published;
  CompressTally tally;  // of all but finished_before
};

/// Compresses all prompts of the source into a new store. `files` and `model` are one model. It
/// holds the store's OutputLock, and runs on the caller's thread; a model serves one call at a
/// time. Throws Error(busy) where another process makes this store, Error(cannot_create) where it
/// is there already, Error(data) for the first prompt that can't be used, unless `prompt_events`
/// has a `reject`, Error(io) where the disk is full. After an error what is staged stays, and a run
/// with StoreBegin::resume, the same task and the same prompts goes on with it.
CompressOutcome compress_to_store(const StoreTask& task, const ModelFiles& files,
                                  const LoadedModel& model, RecordSource prompts,
                                  PromptEvents prompt_events = {},
                                  const CompressEvents& events = {});

/// The parts of a run, for a caller that checks prompts, or that loads the model when it is sure to
/// be needed.
struct CompressRun {
  const ModelFiles& files;
  const ModelSpec& spec;
  PromptReader& prompts;  // with the run's StoreTask::compression
  const WholePromptModel* check = nullptr;
  /// Gives the compressor. It is called once at most: when the place of the store has been looked
  /// at and, where the store is finished, only for prompts that may have been rejected.
  std::function<Compressor&()> load;
};
/// The same, for a caller that holds the OutputLock.
CompressOutcome compress_to_store(const StoreTask& task, const CompressRun& run,
                                  const CompressEvents& events);

/// FinishEvents are what a caller learns as an unfinished run is published. Each function may be
/// empty.
struct FinishEvents {
  /// The staging file is open; `max_kl` is that of the run's PromptCheckTask.
  std::function<void(std::optional<double> max_kl)> opened = {};
  std::function<void(const StagedRecord& record)> record = {};
  /// All records were told; the store is not written yet.
  std::function<void()> records_done = {};
};
/// Publishes what an unfinished run has staged as the store, under its OutputLock. A store that is
/// there already is replaced only where `replace`, or the run was begun with it. Throws
/// Error(no_input) where there is no such run, Error(cannot_create) where the store is there, and
/// as Staging does.
void finish_store(const std::filesystem::path& store, bool replace, const FinishEvents& events);

}  // namespace gist
