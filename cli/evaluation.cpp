#include "cli/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <deque>
#include <memory>
#include <optional>
#include <utility>

#include "cli/completion_text.h"
#include "cli/progress.h"
#include "core/key_value_cache.h"

namespace gist {
namespace {

class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

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

double done_of(std::size_t done, std::size_t all) {
  return static_cast<double>(done) / static_cast<double>(all);
}

}  // namespace

double Scores::perplexity() const {
  return std::exp(loss());
}

std::size_t Evaluation::group_named(const std::string& name) {
  const auto found = std::find_if(groups.begin(), groups.end(),
                                  [&name](const ScoredGroup& group) { return group.name == name; });
  if (found != groups.end()) return static_cast<std::size_t>(found - groups.begin());
  groups.push_back({name, {}});
  return groups.size() - 1;
}

void Evaluation::add(std::size_t group, const Scores& scores) {
  const auto add_to = [&scores](Scores& sum) {
    sum.records += scores.records;
    sum.exact += scores.exact;
    sum.labels += scores.labels;
    sum.loss_sum += scores.loss_sum;
  };
  if (group < groups.size()) add_to(groups[group].scores);
  add_to(all);
}

bool exact_match(const std::string& completion, const std::string& reference) {
  return strip(completion) == strip(reference);
}

void measure_loss(const std::vector<EvaluationItem>& items, const Model& model,
                  ContextReader& contexts, std::int32_t batch_tokens, Evaluation& evaluation) {
  const Stopwatch watch;
  Progress progress("losses");
  Scratch scratch(model.backend());
  for (std::size_t begin = 0; begin < items.size();) {
    const std::size_t end = batch_end(items, begin, batch_tokens);
    std::vector<std::shared_ptr<const GistActivations>> stored;
    std::vector<LabelledSequence> sequences;
    for (std::size_t i = begin; i < end; ++i) {
      stored.push_back(contexts.stored(items[i].context));
      sequences.push_back(labelled(items[i], stored.back().get()));
    }
    const std::vector<AnswerLoss> losses = answer_loss(model, sequences, scratch);
    for (std::size_t i = begin; i < end; ++i) {
      Scores scores;
      scores.labels = static_cast<std::uint64_t>(losses[i - begin].labels);
      scores.loss_sum = losses[i - begin].sum;
      evaluation.add(items[i].group, scores);
    }
    begin = end;
    progress.update(begin, done_of(begin, items.size()));
  }
  evaluation.cost.loss_seconds = watch.seconds();
}

void measure_exact_match(const std::vector<EvaluationItem>& items, const Model& model,
                         ContextReader& contexts, const Tokenizer& tokenizer,
                         const GenerationOptions& options, Evaluation& evaluation) {
  const Stopwatch watch;
  Progress progress("completions");
  EvaluationCost& cost = evaluation.cost;
  const std::size_t token_bytes = KeyValueCache::bytes_per_slot(model.spec().stacks[0]);
  std::vector<std::shared_ptr<const GistActivations>> stored(items.size());
  std::size_t begun = 0, ended = 0;

  GenerationEvents events;
  events.next = [&]() -> std::optional<GenerationRequest> {
    if (begun == items.size()) return std::nullopt;
    const EvaluationItem& item = items[begun];
    stored[begun] = contexts.stored(item.context);
    return request_for(item.context, stored[begun++].get(), item.ordinal);
  };
  events.token = [](std::uint64_t, const std::vector<std::int32_t>&) { return true; };
  events.interrupted = [] { return false; };
  events.done = [&](std::uint64_t request, const Completion& completion) {
    const EvaluationItem& item = items[request];
    stored[request].reset();
    Scores scores;
    scores.records = 1;
    const std::string text = completion_text(tokenizer, item.context, completion.ids);
    scores.exact = exact_match(text, item.reference) ? 1 : 0;
    evaluation.add(item.group, scores);
    cost.generated_tokens += completion.ids.size();
    cost.prompt_tokens += static_cast<std::uint64_t>(item.context.sequence.tokens());
    cost.kept_bytes += static_cast<std::uint64_t>(item.context.kept_tokens) * token_bytes;
    ++ended;
    progress.update(ended, done_of(ended, items.size()));
  };
  generate(model, options, events);
  cost.generation_seconds = watch.seconds();
}

}  // namespace gist
