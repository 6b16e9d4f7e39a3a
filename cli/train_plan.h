// What a training run takes: counted on shapes alone, before any memory is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "cli/train_data.h"
#include "core/model.h"

namespace gist {

struct TrainPlan {
  std::int64_t steps = 0;
  std::int64_t parameters = 0;
  std::int64_t tokens = 0;  // of all steps
  std::int64_t labels = 0;
  std::int64_t flops = 0;
  std::size_t weight_bytes = 0;
  std::size_t gradient_bytes = 0;
  std::size_t optimiser_bytes = 0;
  std::size_t activation_bytes = 0;  // of the largest pass, with its gradients
  std::size_t available_bytes = 0;

  std::size_t memory_bytes() const {
    return weight_bytes + gradient_bytes + optimiser_bytes + activation_bytes;
  }
};

/// Runs the steps of one epoch on shapes; a run of another length is counted in proportion.
TrainPlan plan_training(std::unique_ptr<Family> family, const TrainData& data,
                        const TrainTask& task, Dtype dtype, std::size_t available_bytes);

/// Throws Error(unavailable), with the numbers and what would help, where the plan doesn't fit.
void require_memory(const TrainPlan& plan, const TrainTask& task);

/// "gist with 2 gist tokens, on 1,000 records of data.jsonl: 500 steps of 64 records, 1.2 million
/// tokens".
std::string in_words(const TrainPlan& plan, const TrainData& data, const TrainTask& task);

nlohmann::ordered_json to_json(const TrainPlan& plan, const TrainData& data);

}  // namespace gist
