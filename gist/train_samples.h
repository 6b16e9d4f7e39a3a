// Held-out records that a training run answers as it goes, for its report.
#pragma once

#include <cstdint>
#include <functional>

#include <nlohmann/json.hpp>

#include "core/model.h"
#include "gist/train_data.h"
#include "gist/train_model.h"
#include "gist/train_task.h"

namespace gist {

constexpr std::int32_t most_sample_tokens = 64;  // of an answer

/// Returns what the model answers, as it stands, to the held-out records whose texts are kept, all
/// in one go: greedily, so that it draws nothing, and with memory of its own, so that training goes
/// on as if nothing had been asked. An object a record, with its texts and the answer, for
/// metrics.jsonl. `alive`, which may be empty, is called between the tokens. Throws as `generate`.
nlohmann::ordered_json answered_samples(const Model& model, const TrainData& held_out,
                                        const BaseModel& base, const TrainTask& task,
                                        const std::function<void()>& alive);

}  // namespace gist
