// This file finds where a training run begins: anew, or where an earlier process of it has left
// off.
#pragma once

#include <cstdint>
#include <optional>

#include "core/parameters.h"
#include "gist/run_events.h"
#include "gist/train_checkpoint.h"
#include "gist/train_data.h"
#include "gist/train_model.h"
#include "gist/train_task.h"
#include "gist/train_teacher.h"

namespace gist {

/// The state of a run before its first step. `base` is as fit_vocabulary left it, `teacher`
/// nobody where there is none.
RunState first_state(const TrainTask& task, const BaseModel& base, const TrainData& data,
                     Dtype dtype, const TeacherOfRun& teacher = {});

/// The state of this run, where it has ended in its directory already; nothing where it hasn't.
/// `state` is the first one, `steps` those of the whole run. Throws as check_same_run, and
/// Error(usage) where the directory is a checkpoint of a run.
std::optional<RunState> finished_run(const TrainTask& task, const RunState& state,
                                     std::int64_t steps);

/// Fills the parameters with what the run goes on from, the last checkpoint in its directory, and
/// says in `state` where that stands. False, and nothing is changed, where there is no checkpoint:
/// the parameters are to be filled with the base (gist/train_model.h, fill). Throws as
/// read_last_checkpoint and check_same_run.
bool resume(RunState& state, Parameters& parameters, const TrainTask& task, std::int64_t steps,
            const RunEvents& events);

}  // namespace gist
