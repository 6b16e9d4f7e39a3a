// These events are what a training session tells its caller as it goes, and what it asks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "core/train.h"
#include "gist/run_events.h"

namespace gist {

/// A piece of work of a session.
enum class TrainWork : std::uint8_t {
  step,
  evaluation,  // of the held-out records
  samples,     // within an evaluation: held-out records are answered
  best,        // within an evaluation: the best model so far is written
  checkpoint,  // is written
  model        // the finished one is written
};

/// A step that is done.
struct TrainStep {
  std::int64_t step = 0;  // from 1
  StepResult result;
  double learning_rate = 0;
  double seconds = 0;
};

/// An evaluation that is done.
struct TrainEvaluation {
  std::int64_t step = 0;  // after which it was made
  double loss = 0;        // of a label, on average
  bool best = false;      // the lowest loss so far
};

/// A loss that is higher than it should be.
struct LossAlarm {
  std::int64_t step = 0;
  double loss = 0;
  double expected = 0;
};

/// Each function may be empty. All are called on the thread that runs the session, and what one
/// throws ends the session.
struct TrainEvents {
  /// `run` gets lines for people. `run.stop_requested` is asked after each step: the session then
  /// saves a checkpoint and ends.
  RunEvents run = {};
  /// A piece of work begins. What the function returns lives until the work has ended, in whichever
  /// way: it may show the work, or keep it from being cut off.
  std::function<std::shared_ptr<void>(TrainWork work, std::int64_t step)> working = {};
  /// Called between the passes of an evaluation and between the tokens of samples.
  std::function<void()> alive = {};

  std::function<void(const TrainStep&)> stepped = {};
  /// So many of the held-out records are evaluated: 0 where that begins.
  std::function<void(std::size_t done, std::size_t of)> evaluating = {};
  std::function<void(const TrainEvaluation&)> evaluated = {};
  /// A checkpoint is written.
  std::function<void(std::int64_t step)> saved = {};
  /// The loss jumps from the mean of those before it; spikes.jsonl lists the records of its step.
  std::function<void(const LossAlarm&)> spike = {};
  /// The loss stays above that of the first step. It is told once.
  std::function<void(const LossAlarm&)> diverges = {};
  /// The loss or the gradient of a step is no finite number: TrainSession::run() throws next.
  std::function<void(std::int64_t step)> broke = {};
};

}  // namespace gist
