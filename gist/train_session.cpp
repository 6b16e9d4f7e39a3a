#include "gist/train_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/answer_loss.h"
#include "formats/files/file_io.h"
#include "formats/files/json_text.h"
#include "gist/train_samples.h"
#include "kernels/error.h"

namespace gist {
namespace {

std::string loss_in_words(double value) {
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

}  // namespace

TrainSession::TrainSession(const TrainInputs& inputs, const Model& model, Parameters& parameters,
                           RunState state, TrainEvents events)
    : task_(inputs.task),
      base_(inputs.base),
      data_(inputs.data),
      held_out_(inputs.held_out),
      teacher_(inputs.teacher),
      model_(model),
      parameters_(parameters),
      state_(std::move(state)),
      steps_(task_.total_steps(data_.records.size())),
      events_(std::move(events)),
      scratch_(parameters.backend()),
      order_(task_, data_.records.size()),
      metrics_(task_.output / metrics_name, state_.step),
      saved_step_(state_.step > 0 ? state_.step : -1) {
  recall(task_.output / metrics_name, spikes_, divergence_);
  if (held_out_ == nullptr) return;
  for (std::size_t i = 0; i < held_out_->records.size(); ++i) {
    held_out_records_.push_back(held_out_record(*held_out_, i, task_));
  }
}

TrainResult TrainSession::run() {
  while (state_.step < steps_) {
    step();
    const bool last = state_.step == steps_;
    if (held_out_ != nullptr && (last || state_.step % task_.eval_every == 0)) evaluate();
    if (last) break;
    const bool stop = events_.run.stops();
    if (stop || (task_.save_every > 0 && state_.step % task_.save_every == 0)) save();
    if (stop) return ended(true);
  }
  publish();
  return ended(false);
}

TrainResult TrainSession::ended(bool stopped) const {
  return {
      state_.step,      stopped,    divergence_.last(), divergence_.start(), divergence_.diverged(),
      watch_.seconds(), state_.best};
}

std::shared_ptr<void> TrainSession::begin(TrainWork work) const {
  return events_.working ? events_.working(work, state_.step) : nullptr;
}

void TrainSession::step() {
  const std::shared_ptr<void> work = begin(TrainWork::step);
  const Stopwatch watch;
  const std::span<const std::uint32_t> batch = order_.of_step(state_.step);
  batch_.assign(batch.begin(), batch.end());
  select_records(data_, batch_, task_, state_.step, selected_);
  const std::optional<Lesson> lesson =
      teacher_ == nullptr ? std::nullopt : teacher_->lesson(selected_.teaching());
  TrainingOptions options = task_.training;
  options.adamw.lr =
      task_.learning_rate * learning_rate_factor(task_.schedule, state_.step, task_.warmup, steps_);
  options.adamw.step = state_.step + 1;
  const StepResult result = train_step(model_, parameters_, selected_.records, options, scratch_,
                                       lesson ? &*lesson : nullptr);
  if (!result.applied) give_up(result);
  // Only now is the last checkpoint known to be a good one.
  if (saved_step_ == state_.step) remove_old_checkpoints(task_, events_.run);
  ++state_.step;
  log_step({state_.step, result, options.adamw.lr, watch.seconds()});
  look_for_spike(result);
  look_for_divergence(result.loss);
}

/// What a loss with a teacher is made of.
void TrainSession::add_parts(const StepResult& result, const std::string& prefix,
                             nlohmann::ordered_json& line) const {
  if (teacher_ == nullptr) return;
  line[prefix + "cross_entropy"] = result.cross_entropy;
  line[prefix + "divergence"] = result.divergence;
}

void TrainSession::log_step(const TrainStep& step) {
  nlohmann::ordered_json line{{"step", step.step}, {"loss", step.result.loss}};
  add_parts(step.result, "", line);
  line.update({{"lr", step.learning_rate},
               {"grad_norm", step.result.gradient_norm},
               {"tokens", step.result.tokens},
               {"labels", step.result.labels},
               {"seconds", step.seconds}});
  metrics_.write(line);
  if (events_.stepped) events_.stepped(step);
}

void TrainSession::look_for_spike(const StepResult& result) {
  if (!spikes_.is_spike(result.loss)) return;
  list_records(result, spikes_.mean());
  if (events_.spike) events_.spike({state_.step, result.loss, spikes_.mean()});
}

void TrainSession::look_for_divergence(double loss) {
  divergence_.add(loss);
  if (divergence_told_ || !divergence_.diverges()) return;
  divergence_told_ = true;
  if (events_.diverges) events_.diverges({state_.step, loss, divergence_.start()});
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

void TrainSession::give_up(const StepResult& result) {
  ++state_.step;  // the step that failed
  list_records(result, spikes_.mean());
  if (events_.broke) events_.broke(state_.step);
  fail(ErrorKind::data,
       "step {}: the loss is {} and the gradient's norm {}; the records of the batch are listed in "
       "{}; {}",
       state_.step, loss_in_words(result.loss), loss_in_words(result.gradient_norm),
       (task_.output / spikes_name).string(), diverged_hint());
}

/// Says what is left, and what to do: the same run would end in the same way.
std::string TrainSession::diverged_hint() const {
  const auto checkpoint = last_checkpoint(task_.output);
  return fmt::format(
      "{}; start anew, in another directory, with a lower learning rate (--lr) or a longer warm-up "
      "(--warmup)",
      checkpoint ? "the last checkpoint is " + checkpoint->string() : "there is no checkpoint yet");
}

void TrainSession::evaluate() {
  const std::shared_ptr<void> work = begin(TrainWork::evaluation);
  const Stopwatch watch;
  const StepResult found = held_out_losses();
  const double loss = found.loss;
  nlohmann::ordered_json line{{"step", state_.step}, {"eval_loss", loss}};
  add_parts(found, "eval_", line);
  line["seconds"] = watch.seconds();
  metrics_.write(line);
  if (!std::isfinite(loss)) {
    fail(ErrorKind::data, "step {}: the held-out loss is {}; {}", state_.step, loss_in_words(loss),
         diverged_hint());
  }
  const bool best = keep_best(loss);
  answer_samples();
  if (events_.evaluated) events_.evaluated({state_.step, loss, best});
}

bool TrainSession::keep_best(double loss) {
  if (state_.best && loss >= state_.best->loss) return false;
  const std::shared_ptr<void> work = begin(TrainWork::best);
  best_ = save_best(parameters_, base_, task_, state_.step, events_.run);
  state_.best = {state_.step, loss};
  return true;
}

/// The losses of the held-out records, without a gradient.
StepResult TrainSession::held_out_losses() {
  StepResult sum;
  std::size_t records = 0;
  const auto tell = [&] {
    if (events_.evaluating) events_.evaluating(records, held_out_->records.size());
  };
  tell();
  Scratch& scratch = scratch_.stacks.back().pass;
  for (const auto& batch : micro_batches(held_out_records_, task_.training.batch_tokens)) {
    for (const AnswerLoss& loss : answer_loss(model_, batch, scratch)) {
      sum.cross_entropy += loss.sum;
      sum.labels += loss.labels;
    }
    if (teacher_ != nullptr) {
      const std::optional<Lesson> lesson =
          teacher_->lesson(teaching_of(*held_out_, records, batch.size()));
      sum.divergence += teacher_divergence(model_, batch, lesson.value(), scratch);
    }
    records += batch.size();
    tell();
    if (events_.alive) events_.alive();
  }
  sum.cross_entropy /= static_cast<double>(sum.labels);
  sum.divergence /= static_cast<double>(sum.labels);
  sum.loss = task_.distillation
                 ? distillation_loss(*task_.distillation, sum.cross_entropy, sum.divergence)
                 : sum.cross_entropy;
  return sum;
}

/// Samples that can't be answered, for want of memory say, don't stop a run.
void TrainSession::answer_samples() {
  if (held_out_->texts.empty()) return;
  const Stopwatch watch;
  nlohmann::ordered_json samples;
  try {
    const std::shared_ptr<void> work = begin(TrainWork::samples);
    samples = answered_samples(model_, *held_out_, base_, task_, events_.alive);
  } catch (const Error& error) {
    events_.run.tell(LogLevel::warning, fmt::format("step {}: the samples are not answered: {}",
                                                    state_.step, error.what()));
    return;
  }
  metrics_.write({{"step", state_.step}, {"samples", samples}, {"seconds", watch.seconds()}});
}

void TrainSession::save() {
  if (saved_step_ == state_.step) return;
  const std::shared_ptr<void> work = begin(TrainWork::checkpoint);
  save_checkpoint(parameters_, base_, task_, state_, same_weights());
  saved_step_ = state_.step;
  if (events_.saved) events_.saved(state_.step);
}

/// The directory that has the weights as they are: those of the best step, where that is this one.
std::filesystem::path TrainSession::same_weights() const {
  return state_.best && state_.best->step == state_.step ? best_ : std::filesystem::path();
}

void TrainSession::publish() {
  const std::shared_ptr<void> work = begin(TrainWork::model);
  for (const std::string& name :
       write_model(task_.output, parameters_, base_, task_, same_weights())) {
    events_.run.tell(
        LogLevel::warning,
        fmt::format("{} of {} lacks the gist token and is left out: transformers makes a new one",
                    name, base_.name));
  }
  write_run_state(task_.output, state_);
}

}  // namespace gist
