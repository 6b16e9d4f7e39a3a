#include "gist/evaluation.h"

#include <cmath>
#include <optional>
#include <utility>

#include "core/quality/answer_match.h"
#include "formats/sequences/completion_text.h"
#include "gist/stopwatch.h"
#include "kernels/error.h"

namespace gist {
namespace {

LabelledSequence labelled(const EvaluationItem& item, const GistActivations* stored) {
  LabelledSequence result;
  result.sequence = item.context.sequence;
  result.sequence.ids.insert(result.sequence.ids.end(), item.labels.begin(), item.labels.end());
  result.labels = static_cast<std::int32_t>(item.labels.size());
  result.condition = item.context.condition;
  result.stored = stored;
  result.stored_position = item.context.stored_position;
  return result;
}

/// Items begin .. end - 1, and the stored gists that they are behind.
struct LabelledBatch {
  std::vector<std::shared_ptr<const GistActivations>> gists;
  std::vector<LabelledSequence> sequences;

  LabelledBatch(const RunningSystem& system, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) {
      gists.push_back(system.stored(system.items[i]));
      sequences.push_back(labelled(system.items[i], gists.back().get()));
    }
  }
};

/// The end of the batch that begins at `begin`.
std::size_t batch_end(const std::vector<EvaluationItem>& items, std::size_t begin,
                      std::int32_t batch_tokens) {
  std::int64_t tokens = 0;
  std::size_t end = begin;
  while (end < items.size()) {
    tokens += items[end].context.sequence.tokens() + std::ssize(items[end].labels);
    if (end > begin && tokens > batch_tokens) break;
    ++end;
  }
  return end;
}

/// Tells how far a phase is, its beginning first.
class PhaseProgress {
 public:
  PhaseProgress(EvaluationPhase phase, const RunningSystem& system, const EvaluationEvents& events)
      : events_(events), progress_{phase, system.name, 0, system.items.size()} {
    events_.tell(progress_);
  }
  void update(std::uint64_t done) {
    progress_.done = done;
    events_.tell(progress_);
  }

 private:
  const EvaluationEvents& events_;
  EvaluationProgress progress_;
};

/// A record's figures are made of what the model computed, which must be numbers.
void require_numbers(double value, const EvaluationItem& item, const std::string& system) {
  if (!std::isnan(value)) return;
  fail(ErrorKind::data,
       "record {}: the logits of {} are not finite numbers: its weights don't work for this input",
       item.ordinal + 1, system);
}

}  // namespace

AnswerScores score_answer(const std::string& completion, const std::string& reference,
                          RougeScorer& rouge) {
  AnswerScores scores;
  scores.exact = exact_match(completion, reference);
  scores.f1 = token_f1(completion, reference);
  scores.rouge = rouge.score(completion, reference);
  scores.words = word_count(completion);
  scores.copied = copy_counts(completion, reference);
  return scores;
}

SystemCost cost_of(const SystemResults& system) {
  SystemCost cost;
  for (const RecordResult& each : system.records) {
    cost.generated_tokens += each.completion_tokens;
    cost.prompt_tokens += static_cast<double>(each.prompt_tokens);
    cost.kept_tokens += static_cast<double>(each.kept_tokens);
    cost.prompt_bytes += static_cast<double>(each.kept_bytes);
  }
  const auto records = static_cast<double>(system.records.size());
  cost.prompt_tokens /= records;
  cost.kept_tokens /= records;
  cost.prompt_bytes /= records;
  return cost;
}

bool measure_loss(const RunningSystem& system, std::int32_t batch_tokens,
                  const EvaluationEvents& events, SystemResults& results) {
  const Stopwatch watch;
  PhaseProgress progress(EvaluationPhase::loss, system, events);
  Scratch scratch(system.model.backend());
  const std::size_t count = system.items.size();
  for (std::size_t begin = 0; begin < count;) {
    if (events.run.stops()) return false;
    const std::size_t end = batch_end(system.items, begin, batch_tokens);
    const LabelledBatch batch(system, begin, end);
    const std::vector<AnswerLoss> losses = answer_loss(system.model, batch.sequences, scratch);
    for (std::size_t i = begin; i < end; ++i) {
      results.records[i].loss = losses[i - begin];
      require_numbers(losses[i - begin].sum, system.items[i], system.name);
    }
    begin = end;
    progress.update(begin);
  }
  results.loss_seconds = watch.seconds();
  return true;
}

bool measure_fidelity(const RunningSystem& reference, const RunningSystem& system,
                      std::int32_t batch_tokens, const GistIds& gist_ids,
                      const EvaluationEvents& events, SystemResults& results) {
  PhaseProgress progress(EvaluationPhase::comparison, system, events);
  Scratch scratch(system.model.backend()), reference_scratch(reference.model.backend());
  const std::size_t count = system.items.size();
  for (std::size_t begin = 0; begin < count;) {
    if (events.run.stops()) return false;
    const std::size_t end = batch_end(reference.items, begin, batch_tokens);
    const LabelledBatch full(reference, begin, end), batch(system, begin, end);
    const std::vector<Fidelity> found =
        fidelity({reference.model, full.sequences, reference_scratch},
                 {system.model, batch.sequences, scratch}, gist_ids);
    for (std::size_t i = begin; i < end; ++i) {
      results.records[i].fidelity = found[i - begin];
      require_numbers(found[i - begin].divergence, system.items[i], system.name);
    }
    begin = end;
    progress.update(begin);
  }
  return true;
}

bool measure_predictions(
    const RunningSystem& system, std::int32_t batch_tokens, const GistIds& gist_ids, std::int32_t k,
    const EvaluationEvents& events,
    const std::function<void(std::size_t item, const TopPredictions& predictions)>& found) {
  PhaseProgress progress(EvaluationPhase::prediction, system, events);
  Scratch scratch(system.model.backend());
  for (std::size_t begin = 0; begin < system.items.size();) {
    if (events.run.stops()) return false;
    const std::size_t end = batch_end(system.items, begin, batch_tokens);
    const LabelledBatch batch(system, begin, end);
    const std::vector<TopPredictions> predictions =
        top_predictions(system.model, batch.sequences, gist_ids, k, scratch);
    for (std::size_t i = begin; i < end; ++i) {
      const TopPredictions& each = predictions[i - begin];
      for (const float log_p : each.log_p) require_numbers(log_p, system.items[i], system.name);
      found(i, each);
    }
    begin = end;
    progress.update(begin);
  }
  return true;
}

bool measure_completions(const RunningSystem& system, const std::vector<EvaluationRecord>& records,
                         const Tokenizer& tokenizer, const GenerationOptions& options,
                         RougeScorer& rouge, const EvaluationEvents& events,
                         SystemResults& results) {
  const std::vector<EvaluationItem>& items = system.items;
  const Stopwatch watch;
  PhaseProgress progress(EvaluationPhase::completion, system, events);
  std::vector<std::shared_ptr<const GistActivations>> gists(items.size());
  std::size_t begun = 0, ended = 0;

  GenerationEvents generation;
  generation.next = [&]() -> std::optional<GenerationRequest> {
    if (begun == items.size()) return std::nullopt;
    const EvaluationItem& item = items[begun];
    gists[begun] = system.stored(item);
    return request_for(item.context, gists[begun++].get(), item.ordinal);
  };
  generation.token = [](std::uint64_t, const std::vector<std::int32_t>&) { return true; };
  generation.interrupted = [&] { return events.run.stops(); };
  generation.done = [&](std::uint64_t request, const Completion& completion) {
    const Context& context = items[request].context;
    gists[request].reset();
    RecordResult& result = results.records[request];
    result.completion = completion_text(tokenizer, context, completion.ids);
    result.scores = score_answer(result.completion, records[request].reference_answer, rouge);
    result.completion_tokens = std::ssize(completion.ids);
    result.prompt_tokens = context.sequence.tokens();
    result.kept_tokens = context.kept_tokens;
    result.kept_bytes = context.kept_tokens * static_cast<std::int64_t>(system.token_bytes);
    ++ended;
    progress.update(ended);
  };
  generate(system.model, options, generation);
  results.generation_seconds = watch.seconds();
  return ended == items.size();
}

}  // namespace gist
