#include "core/answer_times.h"

#include <chrono>
#include <utility>

namespace gist {
namespace {

using Clock = std::chrono::steady_clock;

double seconds(Clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

/// Gives out the first request twice, and takes the time of what happens to each.
class Stopwatch {
 public:
  explicit Stopwatch(const std::function<std::optional<GenerationRequest>()>& next) : next_(next) {}

  std::optional<GenerationRequest> next() {
    const bool again = std::exchange(warming_up_, false);
    if (!again) {
      const Clock::time_point asked = Clock::now();
      request_ = next_();
      load_seconds_ = seconds(Clock::now() - asked);
    }
    warming_up_ = !again && request_ && !std::exchange(warm_, true);
    row_ = {};
    row_.load_seconds = load_seconds_;
    begun_ = Clock::now();
    stepped_ = false;
    return request_;
  }

  /// A pass has given the row a token, or its eos. Whether to go on: to warm up, two tokens do.
  bool step() {
    const double since_begin = seconds(Clock::now() - begun_);
    if (!stepped_) {
      row_.prefill_seconds = since_begin;
    } else {
      row_.decode_seconds = since_begin - row_.prefill_seconds;
      ++row_.decode_steps;
    }
    return !std::exchange(stepped_, true) || !warming_up_;
  }

  void done() {
    if (!warming_up_) rows_.push_back(row_);
  }

  std::vector<AnswerTime> rows() && { return std::move(rows_); }

 private:
  const std::function<std::optional<GenerationRequest>()>& next_;
  std::optional<GenerationRequest> request_;
  bool warming_up_ = false;  // the request that runs will run again
  bool warm_ = false;
  bool stepped_ = false;
  double load_seconds_ = 0;
  Clock::time_point begun_;
  AnswerTime row_;
  std::vector<AnswerTime> rows_;
};

double mean(const std::vector<AnswerTime>& rows, double (*of)(const AnswerTime&)) {
  double sum = 0;
  for (const AnswerTime& row : rows) sum += of(row);
  return sum / static_cast<double>(rows.size());
}

}  // namespace

double AnswerTimes::prefill_seconds() const {
  return mean(rows, [](const AnswerTime& row) { return row.prefill_seconds; });
}

double AnswerTimes::first_token_seconds() const {
  return mean(rows, [](const AnswerTime& row) { return row.first_token_seconds(); });
}

std::optional<double> AnswerTimes::decode_tokens_per_second() const {
  double spent = 0;
  std::int64_t steps = 0;
  for (const AnswerTime& row : rows) {
    spent += row.decode_seconds;
    steps += row.decode_steps;
  }
  if (steps == 0) return std::nullopt;
  return static_cast<double>(steps) / spent;
}

AnswerTimes time_answers(const Model& model, GenerationOptions options,
                         const std::function<std::optional<GenerationRequest>()>& next) {
  options.max_rows = 1;
  Stopwatch watch(next);
  GenerationEvents events;
  events.next = [&watch] { return watch.next(); };
  events.token = [&watch](std::uint64_t, const std::vector<std::int32_t>&) { return watch.step(); };
  events.done = [&watch](std::uint64_t, const Completion& completion) {
    if (completion.reason == FinishReason::eos) {
      (void)watch.step();  // which `token` doesn't hear of
    }
    watch.done();
  };
  events.interrupted = [] { return false; };
  Backend& backend = model.backend();
  backend.reset_peak();
  generate(model, options, events);
  return {std::move(watch).rows(), backend.memory().peak};
}

}  // namespace gist
