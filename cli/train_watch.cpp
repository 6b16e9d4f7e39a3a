#include "cli/train_watch.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <utility>

#include "cli/log.h"
#include "cli/words.h"
#include "gist/train_log.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// A WorkGuard stands by while a piece of work is done: a step or an evaluation that a signal lets
/// finish, files that it must not cut off, a line that says what takes its time.
struct WorkGuard {
  std::optional<SignalUnit> unit = {};
  std::optional<SignalPatience> patience = {};
  std::optional<Activity> activity = {};
};

std::shared_ptr<void> guarded(const Signals& signals, TrainWork work, std::int64_t step,
                              const std::filesystem::path& output) {
  const auto guard = std::make_shared<WorkGuard>();
  const auto saves = [&](const std::string& what) {
    guard->patience.emplace(signals);
    guard->activity.emplace("saving " + what);
  };
  switch (work) {
    case TrainWork::step:
      guard->unit.emplace(signals, "step");
      break;
    case TrainWork::evaluation:
      guard->unit.emplace(signals, "evaluation");
      break;
    case TrainWork::samples:
      guard->activity.emplace("answering samples");
      break;
    case TrainWork::best:
      saves("the best model so far");
      break;
    case TrainWork::checkpoint:
      saves(fmt::format("checkpoint-{}", step));
      break;
    case TrainWork::model:
      saves(output.string());
      break;
  }
  return guard;
}

void warn_of_divergence(const LossAlarm& alarm) {
  spdlog::warn(
      "step {}: the loss is {:.4f}, and stays above the {:.4f} of the first step: the run doesn't "
      "learn; stop it, and start anew with a lower --lr or more --warmup",
      alarm.step, alarm.loss, alarm.expected);
}

}  // namespace

TrainWatch::TrainWatch(WatchedRun run, const Signals& signals, const TrainReport* report)
    : run_(std::move(run)),
      signals_(signals),
      report_(report),
      progress_("step", static_cast<std::uint64_t>(run_.steps)) {
  progress_.begin_after(static_cast<std::uint64_t>(run_.done));
}

TrainEvents TrainWatch::events() {
  TrainEvents events;
  events.run = {log_line, [this] { return signals_.requested(); }};
  events.working = [this](TrainWork work, std::int64_t step) {
    return guarded(signals_, work, step, run_.output);
  };
  events.alive = [this] { signals_.beat(); };
  events.stepped = [this](const TrainStep& step) { show(step); };
  events.evaluating = [this](std::size_t done, std::size_t of) { show_evaluation(done, of); };
  events.evaluated = [this](const TrainEvaluation& evaluation) {
    if (evaluation.step < run_.steps) try_to_draw(evaluation.step, "running");
  };
  events.saved = [this](std::int64_t step) { try_to_draw(step, "running"); };
  events.spike = [this](const LossAlarm& alarm) { warn_of_spike(alarm); };
  events.diverges = warn_of_divergence;
  events.broke = [this](std::int64_t step) {
    try_to_draw(step, "ended by a loss or gradient that is no number");
  };
  return events;
}

void TrainWatch::begin() {
  draw(run_.done, "running");
  signals_.begin_work();
}

void TrainWatch::end(const TrainResult& result) {
  if (result.stopped) end_stopped(result);
  draw(result.step, "finished");
  say_end(result);
  if (signals_.requested()) signals_.end_by_signal();
}

void TrainWatch::end_stopped(const TrainResult& result) {
  try_to_draw(result.step, "stopped by a signal");
  spdlog::warn("stopped after step {} of {}; the same command with --resume goes on", result.step,
               run_.steps);
  signals_.end_by_signal();
}

void TrainWatch::show(const TrainStep& step) {
  progress_.update(static_cast<std::uint64_t>(step.step), std::nullopt,
                   fmt::format("loss {:.4f}, {:.0f} tokens/s, {} MiB", step.result.loss,
                               static_cast<double>(step.result.tokens) / step.seconds,
                               run_.backend.memory().current >> 20));
}

void TrainWatch::show_evaluation(std::size_t done, std::size_t of) {
  if (done == 0) {
    evaluation_.emplace("held-out record", of);
  } else {
    evaluation_->update(done);
  }
  if (done == of) evaluation_.reset();
}

void TrainWatch::warn_of_spike(const LossAlarm& alarm) const {
  spdlog::warn(
      "step {}: the loss jumps to {:.4f} from about {:.4f}; the records of its batch are "
      "listed in {}",
      alarm.step, alarm.loss, alarm.expected, (run_.output / spikes_name).string());
}

void TrainWatch::say_end(const TrainResult& result) const {
  const std::string best = result.best ? fmt::format(", held-out loss {:.4f} at step {}",
                                                     result.best->loss, result.best->step)
                                       : "";
  spdlog::debug("trained in {}: loss {:.4f}{}; {}", duration_in_words(result.seconds), result.loss,
                best, run_.output.string());
  if (!result.diverged) return;
  spdlog::warn(
      "the loss ended at {:.4f}, above the {:.4f} of the first step: {} is worse than what it was "
      "trained from; try a lower --lr or more --warmup",
      result.loss, result.first_loss, run_.output.string());
}

void TrainWatch::draw(std::int64_t step, const char* state) const {
  if (report_ != nullptr) write_train_report(*report_, run_.output, step, state);
}

/// A page that can't be drawn doesn't stop a run.
void TrainWatch::try_to_draw(std::int64_t step, const char* state) const {
  try {
    draw(step, state);
  } catch (const Error& error) {
    spdlog::warn("the report is not drawn: {}", error.what());
  }
}

}  // namespace gist
