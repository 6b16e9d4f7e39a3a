#include "cli/evaluation_progress.h"

#include <spdlog/spdlog.h>

#include <string_view>

#include "cli/model_words.h"
#include "cli/words.h"
#include "gist/evaluation_system.h"

namespace gist {
namespace {

const char* piece_of(EvaluationPhase phase) {
  switch (phase) {
    case EvaluationPhase::loss:
      return "loss";
    case EvaluationPhase::completion:
      return "completion";
    case EvaluationPhase::comparison:
      return "comparison";
    case EvaluationPhase::prediction:
      return "record";
    case EvaluationPhase::cost:
      break;
  }
  return "way of caching";
}

void say_cost_timing(const CostTiming& timing) {
  const auto words = [](auto count, std::string_view noun) {
    return counted(static_cast<std::uint64_t>(count), noun);
  };
  spdlog::info("--cost: counts {} of {}, and times answers of {} to {}, {}: about {}",
               timing.records, words(timing.records_in_all, "record"),
               words(timing.timed_tokens, "token"), words(timing.timed_records, "record"),
               words(timing.ways, "way"), duration_in_words(timing.seconds));
}

}  // namespace

EvaluationEvents ShownEvaluation::events() {
  EvaluationEvents events;
  events.loading = [this](const EvaluatedSystem& system) {
    loading_.emplace(system.description().name + ": loading");
  };
  events.loaded = [this](const EvaluatedSystem& system, const LoadedModel& loaded) {
    loading_.reset();
    const SystemDescription& description = system.description();
    spdlog::debug(
        "{}: {}", description.name,
        model_in_words(description.model, loaded.model.spec(), *loaded.backend, system.setup()));
  };
  events.progress = [this](const EvaluationProgress& done) { show(done); };
  events.cost_timing = say_cost_timing;
  return events;
}

void ShownEvaluation::show(const EvaluationProgress& done) {
  if (done.done == 0) {
    progress_.emplace(piece_of(done.phase), done.total,
                      done.phase == EvaluationPhase::cost ? "cost" : done.system);
  } else {
    progress_->update(done.done);
  }
  if (done.done == done.total) progress_.reset();
}

}  // namespace gist
