#include "gist/train_start.h"

#include <filesystem>

#include "gist/run_settings.h"
#include "kernels/error.h"

namespace gist {

RunState first_state(const TrainTask& task, const BaseModel& base, const TrainData& data,
                     Dtype dtype, const TeacherOfRun& teacher) {
  RunState state;
  state.settings = decisive_settings(task, task.total_steps(data.records.size()), dtype,
                                     {teacher.model ? teacher.model->fingerprint() : "",
                                      teacher.written ? teacher.written->fingerprint() : ""});
  state.settings["ignore-tensors"] = setting_of_names(base.ignored_tensors);
  state.data_sha256 = data.sha256;
  state.base_sha256 = fingerprint_of(base);
  return state;
}

std::optional<RunState> finished_run(const TrainTask& task, const RunState& state,
                                     std::int64_t steps) {
  std::optional<RunState> finished = read_finished_run(task.output);
  if (!finished) return std::nullopt;
  check_same_run(*finished, state, task.output.string());
  if (finished->step == steps) return finished;
  // A checkpoint has a training.json as well.
  fail(ErrorKind::usage,
       "{} (--output): it is the checkpoint of a run after step {} of {}: to resume (--resume), "
       "name the directory that the checkpoint is in",
       task.output.string(), finished->step, steps);
}

bool resume(RunState& state, Parameters& parameters, const TrainTask& task, std::int64_t steps,
            const RunEvents& events) {
  const std::optional<std::filesystem::path> checkpoint = last_checkpoint(task.output);
  if (!checkpoint) return false;
  const RunState before = read_last_checkpoint(task.output, events);
  check_same_run(before, state, checkpoint->string());
  if (before.step < 1 || before.step > steps) {
    fail(ErrorKind::data, "{}: training.json should have a step from 1 to {}, found {}",
         checkpoint->string(), steps, before.step);
  }
  load_checkpoint(parameters, *checkpoint);
  state.step = before.step;
  state.best = before.best;
  return true;
}

}  // namespace gist
