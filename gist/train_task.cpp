#include "gist/train_task.h"

#include <fmt/format.h>

#include "gist/run_settings.h"

namespace gist {
namespace {

/// As --gist-tokens spells it.
nlohmann::ordered_json gist_tokens_setting(const TrainTask& task) {
  if (task.least_gist_tokens == 0) return task.gisting.gist_tokens;
  return fmt::format("{}-{}", task.least_gist_tokens, task.gisting.gist_tokens);
}

/// Nothing for what runs of earlier versions have, too.
nlohmann::ordered_json gist_ids_setting(const TrainTask& task) {
  if (task.distinct_ids == 1) return nullptr;
  return fmt::format("distinct ({})", task.distinct_ids);
}

}  // namespace

std::int64_t TrainTask::epoch_steps(std::size_t records) const {
  const auto count = static_cast<std::int64_t>(records);
  return (count + batch_records - 1) / batch_records;
}

std::int64_t TrainTask::total_steps(std::size_t records) const {
  return steps > 0 ? steps : epochs * epoch_steps(records);
}

nlohmann::ordered_json decisive_settings(const TrainTask& task, std::int64_t total_steps,
                                         Dtype dtype, const TeacherFingerprints& teacher) {
  const AdamwOptions& adamw = task.training.adamw;
  nlohmann::ordered_json settings{{"condition", name_of(task.gisting.condition)},
                                  {"gist-tokens", gist_tokens_setting(task)},
                                  {"gist-ids", gist_ids_setting(task)},
                                  {"gist-init", setting_of_names(task.gist_init)},
                                  {"template", task.gisting.prompt_template.json()},
                                  {"steps", total_steps},
                                  {"batch-records", task.batch_records},
                                  {"lr", task.learning_rate},
                                  {"schedule", name_of(task.schedule)},
                                  {"warmup", task.warmup},
                                  {"beta2", adamw.beta2},
                                  {"weight-decay", adamw.weight_decay},
                                  {"clip", adamw.max_norm},
                                  {"label-smoothing", task.training.label_smoothing},
                                  {"seed", task.seed},
                                  {"dtype", name_of(dtype)},
                                  {"teacher", nullptr},
                                  {"teacher-logprobs", nullptr},
                                  {"distill", nullptr},
                                  {"temperature", nullptr},
                                  {"adapter", nullptr},
                                  {"lora-rank", nullptr},
                                  {"lora-alpha", nullptr},
                                  {"lora-dropout", nullptr},
                                  {"lora-targets", nullptr}};
  if (task.adapter) {
    settings["adapter"] = "lora";
    settings["lora-rank"] = task.adapter->rank;
    settings["lora-alpha"] = task.adapter->alpha;
    settings["lora-dropout"] = task.adapter->dropout;
    settings["lora-targets"] = task.adapter->targets;
  }
  if (task.distillation) {
    if (!teacher.model.empty()) settings["teacher"] = teacher.model;
    if (!teacher.logprobs.empty()) settings["teacher-logprobs"] = teacher.logprobs;
    settings["distill"] = task.distillation->weight;
    settings["temperature"] = task.distillation->temperature;
  }
  return settings;
}

}  // namespace gist
