#include "cli/train_session.h"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <cmath>
#include <utility>

#include "cli/train_samples.h"
#include "cli/words.h"
#include "core/answer_loss.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "kernels/error.h"

namespace gist {
namespace {

constexpr const char* spikes_name = "spikes.jsonl";

std::string in_words(double value) {
  if (std::isnan(value)) return "not a number";
  return std::isinf(value) ? "infinite" : fmt::format("{:.4f}", value);
}

/// The losses that an earlier process of this run logged.
void recall(const std::filesystem::path& metrics, SpikeDetector& spikes,
            DivergenceDetector& divergence) {
  const std::string text = read_file(metrics);
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const auto line = json_in(text.substr(begin, end - begin)).value_or(nullptr);
    const auto loss = line.is_object() ? line.find("loss") : line.end();
    if (line.is_object() && loss != line.end() && loss->is_number()) {
      spikes.is_spike(loss->get<double>());
      divergence.add(loss->get<double>());
    }
    begin = end + 1;
  }
}

double mean_loss(const Model& model, const TrainData& data, std::int64_t batch_tokens,
                 Scratch& scratch, const Signals& signals) {
  Progress progress("held-out record", data.records.size());
  double sum = 0;
  std::int64_t labels = 0;
  std::size_t records = 0;
  for (const auto& batch : micro_batches(data.records, batch_tokens)) {
    for (const AnswerLoss& loss : answer_loss(model, batch, scratch)) {
      sum += loss.sum;
      labels += loss.labels;
    }
    records += batch.size();
    progress.update(records);
    signals.beat();
  }
  return sum / static_cast<double>(labels);
}

}  // namespace

TrainSession::TrainSession(const TrainTask& task, const BaseModel& base, const TrainData& data,
                           const TrainData* held_out, const Model& model, Parameters& parameters,
                           RunState state, std::int64_t steps, const Signals& signals,
                           const TrainReport* report)
    : task_(task),
      base_(base),
      data_(data),
      held_out_(held_out),
      model_(model),
      parameters_(parameters),
      state_(std::move(state)),
      steps_(steps),
      signals_(signals),
      report_(report),
      scratch_(parameters.backend()),
      order_(task, data.records.size()),
      metrics_(task.output / metrics_name, state_.step),
      saved_step_(state_.step > 0 ? state_.step : -1),
      progress_("step", static_cast<std::uint64_t>(steps)) {
  recall(task.output / metrics_name, spikes_, divergence_);
  progress_.begin_after(static_cast<std::uint64_t>(state_.step));
}

void TrainSession::run() {
  draw("running");
  signals_.begin_work();
  while (state_.step < steps_) {
    step();
    const bool last = state_.step == steps_;
    if (held_out_ != nullptr && (last || state_.step % task_.eval_every == 0)) evaluate();
    if (last) break;
    const bool stop = signals_.requested();
    if (stop || (task_.save_every > 0 && state_.step % task_.save_every == 0)) save();
    if (stop) {
      try_to_draw("stopped by a signal");
      spdlog::warn("stopped after step {} of {}; the same command with --resume goes on",
                   state_.step, steps_);
      signals_.end_by_signal();
    }
  }
  publish();
  draw("finished");
  report_end();
  if (signals_.requested()) signals_.end_by_signal();
}

void TrainSession::step() {
  const SignalUnit unit(signals_, "step");
  const Stopwatch watch;
  const std::span<const std::uint32_t> batch = order_.of_step(state_.step);
  batch_.assign(batch.begin(), batch.end());
  records_.clear();
  for (const std::uint32_t record : batch_) records_.push_back(data_.records[record]);
  TrainingOptions options = task_.training;
  options.adamw.lr =
      task_.learning_rate * learning_rate_factor(task_.schedule, state_.step, task_.warmup, steps_);
  options.adamw.step = state_.step + 1;
  const StepResult result = train_step(model_, parameters_, records_, options, scratch_);
  if (!result.applied) stop_diverged(result);
  // Only now is the last checkpoint known to be a good one.
  if (saved_step_ == state_.step) remove_old_checkpoints(task_);
  ++state_.step;
  report(result, options.adamw.lr, watch.seconds());
  report_spike(result);
  report_divergence(result.loss);
}

void TrainSession::report(const StepResult& result, double learning_rate, double seconds) {
  metrics_.write({{"step", state_.step},
                  {"loss", result.loss},
                  {"lr", learning_rate},
                  {"grad_norm", result.gradient_norm},
                  {"tokens", result.tokens},
                  {"labels", result.labels},
                  {"seconds", seconds}});
  progress_.update(static_cast<std::uint64_t>(state_.step), std::nullopt,
                   fmt::format("loss {:.4f}, {:.0f} tokens/s, {} MiB", result.loss,
                               static_cast<double>(result.tokens) / seconds,
                               parameters_.backend().memory().current >> 20));
}

void TrainSession::report_spike(const StepResult& result) {
  if (!spikes_.is_spike(result.loss)) return;
  list_records(result, spikes_.mean());
  spdlog::warn(
      "step {}: the loss jumps to {:.4f} from about {:.4f}; the records of its batch are "
      "listed in {}",
      state_.step, result.loss, spikes_.mean(), (task_.output / spikes_name).string());
}

void TrainSession::report_divergence(double loss) {
  divergence_.add(loss);
  if (divergence_told_ || !divergence_.diverges()) return;
  divergence_told_ = true;
  spdlog::warn(
      "step {}: the loss is {:.4f}, and stays above the {:.4f} of the first step: the run doesn't "
      "learn; stop it, and start anew with a lower --lr or more --warmup",
      state_.step, loss, divergence_.start());
}

void TrainSession::report_end() const {
  const std::string best = state_.best ? fmt::format(", held-out loss {:.4f} at step {}",
                                                     state_.best->loss, state_.best->step)
                                       : "";
  spdlog::debug("trained in {}: loss {:.4f}{}; {}", duration_in_words(watch_.seconds()),
                divergence_.last(), best, task_.output.string());
  if (!divergence_.diverged()) return;
  spdlog::warn(
      "the loss ended at {:.4f}, above the {:.4f} of the first step: {} is worse than what it was "
      "trained from; try a lower --lr or more --warmup",
      divergence_.last(), divergence_.start(), task_.output.string());
}

void TrainSession::list_records(const StepResult& result, double expected) {
  nlohmann::ordered_json records = nlohmann::ordered_json::array();
  for (const std::uint32_t record : batch_) {
    records.push_back({{"line", data_.lines[record]}, {"ordinal", data_.ordinals[record]}});
  }
  StepLog log(task_.output / spikes_name, state_.step - 1);
  log.write({{"step", state_.step},
             {"loss", result.loss},
             {"expected", expected},
             {"grad_norm", result.gradient_norm},
             {"data", data_.name},
             {"records", records}});
}

void TrainSession::stop_diverged(const StepResult& result) {
  ++state_.step;  // the step that failed
  list_records(result, spikes_.mean());
  try_to_draw("ended by a loss or gradient that is no number");
  fail(ErrorKind::data,
       "step {}: the loss is {} and the gradient's norm {}; the records of the batch are listed in "
       "{}; {}",
       state_.step, in_words(result.loss), in_words(result.gradient_norm),
       (task_.output / spikes_name).string(), diverged_hint());
}

/// What is left, and what to do: the same run would end in the same way.
std::string TrainSession::diverged_hint() const {
  const auto checkpoint = last_checkpoint(task_.output);
  return fmt::format(
      "{}; start anew, in another directory, with a lower --lr or more --warmup",
      checkpoint ? "the last checkpoint is " + checkpoint->string() : "there is no checkpoint yet");
}

void TrainSession::evaluate() {
  const SignalUnit unit(signals_, "evaluation");
  const Stopwatch watch;
  const double loss = mean_loss(model_, *held_out_, task_.training.batch_tokens,
                                scratch_.stacks.back().pass, signals_);
  metrics_.write({{"step", state_.step}, {"eval_loss", loss}, {"seconds", watch.seconds()}});
  if (!std::isfinite(loss)) {
    fail(ErrorKind::data, "step {}: the held-out loss is {}; {}", state_.step, in_words(loss),
         diverged_hint());
  }
  if (!state_.best || loss < state_.best->loss) {
    const SignalPatience patience(signals_);
    const Activity saving("saving the best model so far");
    best_ = save_best(parameters_, base_, task_, state_.step);
    state_.best = {state_.step, loss};
  }
  answer_samples();
  if (state_.step < steps_) try_to_draw("running");
}

/// Samples that can't be answered, for want of memory say, don't stop a run.
void TrainSession::answer_samples() {
  if (held_out_->texts.empty()) return;
  const Stopwatch watch;
  nlohmann::ordered_json samples;
  try {
    const Activity answering("answering samples");
    samples = answered_samples(model_, *held_out_, base_, task_, signals_);
  } catch (const Error& error) {
    spdlog::warn("step {}: the samples are not answered: {}", state_.step, error.what());
    return;
  }
  metrics_.write({{"step", state_.step}, {"samples", samples}, {"seconds", watch.seconds()}});
}

void TrainSession::save() {
  if (saved_step_ == state_.step) return;
  const SignalPatience patience(signals_);
  const Activity saving(fmt::format("saving checkpoint-{}", state_.step));
  save_checkpoint(parameters_, base_, task_, state_, same_weights());
  saved_step_ = state_.step;
  try_to_draw("running");
}

/// The directory that has the weights as they are: those of the best step, where that is this one.
std::filesystem::path TrainSession::same_weights() const {
  return state_.best && state_.best->step == state_.step ? best_ : std::filesystem::path();
}

void TrainSession::draw(const char* state) {
  if (report_ != nullptr) write_train_report(*report_, task_.output, state_.step, state);
}

/// A page that can't be drawn doesn't stop a run.
void TrainSession::try_to_draw(const char* state) {
  try {
    draw(state);
  } catch (const Error& error) {
    spdlog::warn("the report is not drawn: {}", error.what());
  }
}

void TrainSession::publish() {
  const SignalPatience patience(signals_);
  const Activity saving("saving " + task_.output.string());
  for (const std::string& name :
       write_model(task_.output, parameters_, base_, task_, same_weights())) {
    spdlog::warn("{} of {} lacks the gist token and is left out: transformers makes a new one",
                 name, base_.name);
  }
  write_run_state(task_.output, state_);
}

}  // namespace gist
