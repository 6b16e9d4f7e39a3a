// A training run at work: steps, metrics, evaluations, checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "cli/progress.h"
#include "cli/signals.h"
#include "cli/train_checkpoint.h"
#include "cli/train_data.h"
#include "cli/train_log.h"
#include "cli/train_report.h"
#include "cli/train_task.h"
#include "core/train.h"
#include "gist/stopwatch.h"

namespace gist {

class TrainSession {
 public:
  /// Everything must outlive the session. `state` says where the run stands; the parameters hold
  /// the values of then. `report` may be null.
  TrainSession(const TrainTask& task, const BaseModel& base, const TrainData& data,
               const TrainData* held_out, const Model& model, Parameters& parameters,
               RunState state, std::int64_t steps, const Signals& signals,
               const TrainReport* report);

  /// Runs to the end, and leaves the finished model in the output directory. After a signal it
  /// saves a checkpoint and ends the process by the signal. Throws Error(data) where the loss is no
  /// finite number.
  void run();

 private:
  void step();
  void report(const StepResult& result, double learning_rate, double seconds);
  void report_spike(const StepResult& result);
  void report_divergence(double loss);
  void report_end() const;
  [[noreturn]] void stop_diverged(const StepResult& result);
  std::string diverged_hint() const;
  void evaluate();
  void answer_samples();
  void save();
  std::filesystem::path same_weights() const;
  void list_records(const StepResult& result, double expected);
  void publish();
  void draw(const char* state);
  void try_to_draw(const char* state);

  const TrainTask& task_;
  const BaseModel& base_;
  const TrainData& data_;
  const TrainData* held_out_;
  const Model& model_;
  Parameters& parameters_;
  RunState state_;
  std::int64_t steps_;  // of the whole run
  const Signals& signals_;
  const TrainReport* report_;

  TrainingScratch scratch_;
  RecordOrder order_;
  std::vector<std::uint32_t> batch_;  // the records of the running step, by number
  std::vector<LabelledSequence> records_;
  StepLog metrics_;
  SpikeDetector spikes_;
  DivergenceDetector divergence_;
  bool divergence_told_ = false;
  std::int64_t saved_step_ = -1;
  std::filesystem::path best_;  // what this process wrote last
  Stopwatch watch_;
  Progress progress_;
};

}  // namespace gist
