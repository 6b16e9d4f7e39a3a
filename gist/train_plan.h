// A plan says what a training run takes, counted on shapes alone, before any memory is asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include <nlohmann/json.hpp>

#include "core/model.h"
#include "gist/train_data.h"
#include "gist/train_task.h"

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
  std::size_t teacher_bytes = 0;     // its weights
  std::size_t activation_bytes = 0;  // of the largest pass, with its gradients
  std::size_t available_bytes = 0;

  std::size_t memory_bytes() const {
    return weight_bytes + gradient_bytes + optimiser_bytes + teacher_bytes + activation_bytes;
  }
};

/// Runs the steps of one epoch on shapes; a run of another length is counted in proportion. `base`
/// is as fit_vocabulary left it.
TrainPlan plan_training(std::unique_ptr<Family> family, const BaseModel& base,
                        const TrainData& data, const TrainTask& task, Dtype dtype,
                        std::size_t available_bytes, const TeacherOfRun& teacher = {});

/// Throws Error(unavailable), with the numbers and what would help, where the plan doesn't fit.
void require_memory(const TrainPlan& plan, const TrainTask& task);

/// Returns what `gist train --dry-run` prints.
nlohmann::ordered_json to_json(const TrainPlan& plan, const TrainData& data);

}  // namespace gist
