// A training run at work: steps, metrics, evaluations, checkpoints.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/train.h"
#include "gist/stopwatch.h"
#include "gist/train_checkpoint.h"
#include "gist/train_data.h"
#include "gist/train_events.h"
#include "gist/train_log.h"
#include "gist/train_task.h"

namespace gist {

/// TrainInputs are what a session works on. All of it must outlive the session.
struct TrainInputs {
  const TrainTask& task;
  const BaseModel& base;
  const TrainData& data;
  const TrainData* held_out = nullptr;  // null: nothing is evaluated
  /// On the model's backend, where the data has lessons; null without them.
  LoadedTeacher* teacher = nullptr;
};

/// TrainResult says how a session ended.
struct TrainResult {
  std::int64_t step = 0;  // after so many steps
  bool stopped = false;   // before the last one, as it was asked to
  double loss = 0;        // of the last step
  double first_loss = 0;  // of the first one, which is the base model's
  bool diverged = false;  // the losses stayed above the first: the model is worse than the base
  double seconds = 0;     // since the session was made
  std::optional<BestEvaluation> best;
};

/// Writes the lines of the run into DIR/metrics.jsonl and DIR/spikes.jsonl, DIR being
/// `task.output`, which the caller has made and holds (gist/train_output.h).
class TrainSession {
 public:
  /// `state` says where the run stands; the parameters hold the values of then
  /// (gist/train_start.h), and are the weights of the model. Throws as StepLog.
  TrainSession(const TrainInputs& inputs, const Model& model, Parameters& parameters,
               RunState state, TrainEvents events = {});

  /// Runs to the end, and leaves the finished model in DIR; or, where a stop is requested, saves a
  /// checkpoint after the step that runs, from which the run can be resumed. Throws Error(data)
  /// where the loss is no finite number.
  TrainResult run();

 private:
  void step();
  void add_parts(const StepResult& result, const std::string& prefix,
                 nlohmann::ordered_json& line) const;
  void log_step(const TrainStep& step);
  void look_for_spike(const StepResult& result);
  void look_for_divergence(double loss);
  [[noreturn]] void give_up(const StepResult& result);
  std::string diverged_hint() const;
  void evaluate();
  bool keep_best(double loss);
  StepResult held_out_losses();
  void answer_samples();
  void save();
  std::filesystem::path same_weights() const;
  void list_records(const StepResult& result, double expected);
  void publish();
  TrainResult ended(bool stopped) const;
  std::shared_ptr<void> begin(TrainWork work) const;

  const TrainTask& task_;
  const BaseModel& base_;
  const TrainData& data_;
  const TrainData* held_out_;
  LoadedTeacher* teacher_;
  const Model& model_;
  Parameters& parameters_;
  RunState state_;
  std::int64_t steps_;  // of the whole run
  TrainEvents events_;

  TrainingScratch scratch_;
  RecordOrder order_;
  std::vector<std::uint32_t> batch_;                // the records of the running step, by number
  SelectedRecords selected_;                        // likewise, as the step sees them
  std::vector<LabelledSequence> held_out_records_;  // as evaluations see them
  StepLog metrics_;
  SpikeDetector spikes_;
  DivergenceDetector divergence_;
  bool divergence_told_ = false;
  std::int64_t saved_step_ = -1;
  std::filesystem::path best_;  // what this process wrote last
  Stopwatch watch_;
};

}  // namespace gist
