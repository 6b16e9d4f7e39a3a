#include "gist/evaluation_run.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <utility>

#include "kernels/error.h"

namespace gist {
namespace {

/// The order in which systems run: the reference first.
std::vector<std::size_t> in_order(std::size_t systems, std::size_t reference) {
  std::vector<std::size_t> order{reference};
  for (std::size_t i = 0; i < systems; ++i) {
    if (i != reference) order.push_back(i);
  }
  return order;
}

/// The gist tokens of either.
GistIds gist_ids_of(const EvaluatedSystem& reference, const EvaluatedSystem& system) {
  return all_of(system.files().tokenizer.gist_ids(), reference.files().tokenizer.gist_ids());
}

/// Throws where some system can't be compared with the reference.
void check_fidelity(const Systems& systems, std::size_t reference) {
  const EvaluatedSystem& full = *systems[reference];
  if (systems.size() == 1 || full.description().condition != Condition::pos) {
    fail(
        ErrorKind::usage,
        "fidelity (--fidelity) compares with the full prompt: it needs a model (--model) under pos "
        "and another one");
  }
  for (const auto& system : systems) {
    const Tokenizer& tokenizer = system->files().tokenizer;
    (void)shared_vocabulary(full.spec(), system->spec(), gist_ids_of(full, *system));
    if (system->files().base_tokenizer_sha256 == full.files().base_tokenizer_sha256) continue;
    fail(ErrorKind::data, "fidelity (--fidelity): {} and {} have different vocabularies",
         full.files().tokenizer.path().string(), tokenizer.path().string());
  }
}

/// The system whose cost is measured.
std::size_t costly_among(const Systems& systems) {
  bool any_behind_store = false;
  for (std::size_t i = 0; i < systems.size(); ++i) {
    const SystemDescription& system = systems[i]->description();
    if (system.condition != Condition::gist) continue;
    if (system.store.empty()) return i;
    any_behind_store = true;
  }
  if (any_behind_store) {
    fail(ErrorKind::usage,
         "the cost (--cost) is that of whole records: leave the store (--store) out");
  }
  fail(ErrorKind::usage,
       "the cost (--cost) is that of a model (--model) under gist: none of these is");
}

std::unique_ptr<LoadedSystem> loaded_system(EvaluatedSystem& system,
                                            const EvaluationMeasures& measures,
                                            const EvaluationEvents& events) {
  if (events.loading) events.loading(system);
  auto result = std::make_unique<LoadedSystem>(system, measures.open_backend);
  if (events.loaded) events.loaded(system, result->loaded);
  return result;
}

RunningSystem running(const EvaluatedSystem& system, const std::vector<EvaluationItem>& items,
                      const LoadedSystem& loaded) {
  return {system.description().name, items, loaded.loaded.model, loaded.stored,
          system.token_bytes()};
}

}  // namespace

EvaluationItems read_items(const Systems& systems, EvaluationData& data,
                           const EvaluationDataEvents& events, Evaluation& evaluation) {
  EvaluationItems items(systems.size());
  data.read(evaluation, events, [&](const Record& record) {
    std::vector<EvaluationItem> of_record;  // of all systems, or of none
    std::int64_t longest = 0;
    for (const auto& system : systems) {
      of_record.push_back(system->read(record, data.name()));
      longest = std::max(longest, of_record.back().tokens());
    }
    if (data.too_long(record, longest, events)) return false;
    for (std::size_t i = 0; i < systems.size(); ++i) {
      systems[i]->check_length(of_record[i], record, data.name());
    }
    for (std::size_t i = 0; i < systems.size(); ++i) items[i].push_back(std::move(of_record[i]));
    return true;
  });
  return items;
}

void read_completions(EvaluationData& data, const EvaluationDataEvents& events, RougeScorer& rouge,
                      Evaluation& evaluation) {
  SystemResults& results = evaluation.systems.emplace_back();
  results.system.name = "completions";
  data.read(evaluation, events, [&](const Record& record) {
    RecordResult result;
    result.completion = record.string("completion");
    result.scores = score_answer(result.completion, record.string("output"), rouge);
    results.records.push_back(std::move(result));
    return true;
  });
}

MeasuredSystems measure_systems(const Systems& systems, const EvaluationItems& items,
                                const EvaluationMeasures& measures, RougeScorer& rouge,
                                const EvaluationEvents& events, Evaluation& evaluation) {
  if (evaluation.records.empty()) {
    fail(ErrorKind::data, "{}: there is no record to evaluate", evaluation.data);
  }
  evaluation.reference_system = reference_among(systems);
  evaluation.systems.resize(systems.size());
  if (measures.fidelity) check_fidelity(systems, evaluation.reference_system);
  std::optional<std::size_t> costly;
  if (measures.cost) costly = costly_among(systems);
  MeasuredSystems measured;
  measured.whole = false;
  std::unique_ptr<LoadedSystem> reference;  // kept while others are compared with it
  for (const std::size_t i : in_order(systems.size(), evaluation.reference_system)) {
    EvaluatedSystem& system = *systems[i];
    const GenerationOptions generation = system.generation(measures.generation);
    SystemResults& results = evaluation.systems[i];
    results.system = system.description();
    results.records.resize(items[i].size());
    std::unique_ptr<LoadedSystem> loaded = loaded_system(system, measures, events);
    const RunningSystem run = running(system, items[i], *loaded);
    if (!measure_loss(run, generation.batch_tokens, events, results) ||
        !measure_completions(run, evaluation.records, system.files().tokenizer, generation, rouge,
                             events, results)) {
      return measured;
    }
    if (i == costly) {
      measured.cost = measure_cost(system, items[i], loaded->loaded.model, generation, events);
      if (!measured.cost) return measured;
    }
    if (!measures.fidelity) continue;
    if (i == evaluation.reference_system) {
      reference = std::move(loaded);
      continue;
    }
    const RunningSystem full = running(*systems[evaluation.reference_system],
                                       items[evaluation.reference_system], *reference);
    if (!measure_fidelity(full, run, generation.batch_tokens,
                          gist_ids_of(*systems[evaluation.reference_system], system), events,
                          results)) {
      return measured;
    }
  }
  measured.whole = true;
  return measured;
}

}  // namespace gist
