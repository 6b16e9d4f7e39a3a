// Checkpoints of a run: DIR/checkpoint-STEP, each a Hugging Face directory of its own with the
// optimiser's state (optimizer.safetensors) and the run's (training.json) beside the weights, and
// the checksums of all (checksums.json). A checkpoint is whole or not there.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/parameters.h"
#include "gist/run_events.h"
#include "gist/train_model.h"
#include "gist/train_task.h"

namespace gist {

/// The held-out loss that was lowest so far.
struct BestEvaluation {
  std::int64_t step = 0;
  double loss = 0;
};

/// training.json: where a run stands, and what it may only be resumed with.
struct RunState {
  std::int64_t step = 0;            // steps that are done
  nlohmann::ordered_json settings;  // decisive_settings
  std::string data_sha256;
  std::string base_sha256;  // of what training started from
  std::optional<BestEvaluation> best;
};

/// Throws Error(usage) where a run is resumed with other settings, Error(data) where with other
/// records or another model: the first difference. `where` is the checkpoint's path.
void check_same_run(const RunState& checkpoint, const RunState& run, const std::string& where);

/// The state in a directory; nothing where it has none. Throws Error(data) for a damaged one.
std::optional<RunState> read_run_state(const std::filesystem::path& directory);
/// The state of the run that has ended in DIR; nothing where none has. For a damaged one the Error
/// says what to do.
std::optional<RunState> read_finished_run(const std::filesystem::path& output);
void write_run_state(const std::filesystem::path& directory, const RunState& state);

/// Writes the model as transformers loads it; where `same_weights` is a directory that has the
/// weights already, they are shared with it. The answer is the tokenizer's files that were left
/// out, as they would contradict the new gist token.
[[nodiscard]] std::vector<std::string> write_model(const std::filesystem::path& directory,
                                                   const Parameters& parameters,
                                                   const BaseModel& base, const TrainTask& task,
                                                   const std::filesystem::path& same_weights);

/// Writes DIR/checkpoint-STEP. `same_weights` as in write_model.
void save_checkpoint(const Parameters& parameters, const BaseModel& base, const TrainTask& task,
                     const RunState& state, const std::filesystem::path& same_weights);
/// Removes all but the last `keep`. What can't be removed gets a warning.
void remove_old_checkpoints(const TrainTask& task, const RunEvents& events);
/// The last checkpoint in DIR.
std::optional<std::filesystem::path> last_checkpoint(const std::filesystem::path& output);
/// Reads the state of the last checkpoint in DIR, and checks that its bytes are those that were
/// written. Throws Error(data) where they aren't, or it is none: which file and tensor, and which
/// checkpoint remains.
RunState read_last_checkpoint(const std::filesystem::path& output, const RunEvents& events);
/// Reads weights and optimiser state.
void load_checkpoint(Parameters& parameters, const std::filesystem::path& checkpoint);

/// Writes DIR/best-STEP, and removes the others afterwards. The answer is its path.
std::filesystem::path save_best(const Parameters& parameters, const BaseModel& base,
                                const TrainTask& task, std::int64_t step, const RunEvents& events);

}  // namespace gist
