#include "gist/train_plan.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "core/train.h"
#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"

namespace gist {
namespace {

double gib(std::size_t bytes) {
  return static_cast<double>(bytes) / (1 << 30);
}

std::string_view what_would_help(const TrainPlan& plan, const TrainTask& task) {
  if (plan.memory_bytes() - plan.activation_bytes > plan.available_bytes) {
    return "it takes a machine with more memory, or a smaller model";
  }
  return task.training.recompute
             ? "shorter passes (--batch-tokens) need less for activations"
             : "computing layers again (--recompute) and shorter passes (--batch-tokens) need less "
               "for activations";
}

}  // namespace

TrainPlan plan_training(std::unique_ptr<Family> family, const BaseModel& base,
                        const TrainData& data, const TrainTask& task, Dtype dtype,
                        std::size_t available_bytes, const TeacherOfRun& teacher) {
  const std::unique_ptr<CountingBackend> backend = make_meta_backend(dtype);
  Parameters parameters(trained_parameters(base, family->spec()), *backend);
  const std::size_t arrays = backend->memory().current;
  const Model model = trained_model(std::move(family), base, parameters);
  const std::size_t frozen = backend->memory().current - arrays;
  TrainingScratch scratch(*backend);
  LoadedTeacher taught(teacher, model, *backend);
  RecordOrder order(task, data.records.size());

  TrainPlan plan;
  plan.steps = task.total_steps(data.records.size());
  plan.parameters = parameters.count();
  plan.gradient_bytes = arrays / 4;
  plan.weight_bytes = arrays / 4 + frozen;
  plan.optimiser_bytes = arrays / 2;
  plan.available_bytes = available_bytes;
  plan.teacher_bytes = backend->memory().current - arrays - frozen;
  const std::int64_t counted = std::min(plan.steps, task.epoch_steps(data.records.size()));
  backend->reset_costs();
  SelectedRecords selected;
  for (std::int64_t step = 0; step < counted; ++step) {
    select_records(data, order.of_step(step), task, step, selected);
    const std::optional<Lesson> lesson = taught.lesson(selected.teaching());
    const StepResult result = train_step(model, parameters, selected.records, task.training,
                                         scratch, lesson ? &*lesson : nullptr);
    plan.tokens += result.tokens;
    plan.labels += result.labels;
  }
  const double share = static_cast<double>(plan.steps) / static_cast<double>(counted);
  const auto in_proportion = [share](std::int64_t count) {
    return static_cast<std::int64_t>(static_cast<double>(count) * share);
  };
  plan.tokens = in_proportion(plan.tokens);
  plan.labels = in_proportion(plan.labels);
  plan.flops = in_proportion(backend->total_flops());
  plan.activation_bytes = backend->memory().peak - arrays - frozen - plan.teacher_bytes;
  return plan;
}

void require_memory(const TrainPlan& plan, const TrainTask& task) {
  if (plan.memory_bytes() <= plan.available_bytes) return;
  fail(ErrorKind::unavailable,
       "training needs {:.2f} GiB of memory ({:.2f} for weights, {:.2f} for gradients, {:.2f} for "
       "the optimiser, {}{:.2f} for activations), and {:.2f} are available; {}",
       gib(plan.memory_bytes()), gib(plan.weight_bytes), gib(plan.gradient_bytes),
       gib(plan.optimiser_bytes),
       plan.teacher_bytes > 0 ? fmt::format("{:.2f} for the teacher, ", gib(plan.teacher_bytes))
                              : "",
       gib(plan.activation_bytes), gib(plan.available_bytes), what_would_help(plan, task));
}

nlohmann::ordered_json to_json(const TrainPlan& plan, const TrainData& data) {
  return {{"records", data.records.size()},
          {"left_out", data.left_out.size()},
          {"steps", plan.steps},
          {"tokens", plan.tokens},
          {"labels", plan.labels},
          {"parameters", plan.parameters},
          {"flops", plan.flops},
          {"weight_bytes", plan.weight_bytes},
          {"gradient_bytes", plan.gradient_bytes},
          {"optimiser_bytes", plan.optimiser_bytes},
          {"teacher_bytes", plan.teacher_bytes},
          {"activation_bytes", plan.activation_bytes},
          {"memory_bytes", plan.memory_bytes()},
          {"available_bytes", plan.available_bytes}};
}

}  // namespace gist
