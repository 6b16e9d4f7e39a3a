// An evaluation from its data to its results: what the records are to each system, and what is
// measured of each, one system after the other.
//
//     #include <gist/evaluation_run.h>
//     #include <gist/evaluation_summary.h>
//
//     Systems systems;
//     systems.push_back(open_system("my-gist-model", {}));
//     EvaluationData data({"held_out.jsonl"});
//     Evaluation evaluation;
//     const EvaluationItems items = read_items(systems, data, {}, evaluation);
//     RougeScorer rouge(false);
//     measure_systems(systems, items, {}, rouge, {}, evaluation);
//     const EvaluationSummary summary = summarise(evaluation, {});
#pragma once

#include <optional>
#include <vector>

#include "core/generate.h"
#include "core/quality/rouge.h"
#include "gist/evaluation.h"
#include "gist/evaluation_cost.h"
#include "gist/evaluation_data.h"
#include "gist/evaluation_events.h"
#include "gist/evaluation_system.h"

namespace gist {

/// The data's records as each system reads them: [systems][records].
using EvaluationItems = std::vector<std::vector<EvaluationItem>>;

/// Reads the data, a record for all systems or for none: one that is too long for some, or that
/// some can't use, is left out or rejected for all. `systems` aren't loaded yet.
EvaluationItems read_items(const Systems& systems, EvaluationData& data,
                           const EvaluationDataEvents& events, Evaluation& evaluation);

/// Reads and scores data that holds "completion" beside "output", of any origin: one system.
void read_completions(EvaluationData& data, const EvaluationDataEvents& events, RougeScorer& rouge,
                      Evaluation& evaluation);

/// How, and what is measured beside losses and completions.
struct EvaluationMeasures {
  GenerationOptions generation = {};  // its limits: see EvaluatedSystem::generation
  /// Measures how near next-token distributions are to the reference's, which stays loaded
  /// meanwhile. This needs a system under pos, and another one.
  bool fidelity = false;
  /// Measures what an answer of the first system under gist costs (gist/evaluation_cost.h). This
  /// needs one that reads whole records, behind no store.
  bool cost = false;
  BackendOpener open_backend = {};
};

struct MeasuredSystems {
  bool whole = true;  // false: the events asked to stop, and the evaluation is half measured
  std::optional<CostReport> cost;
};

/// Measures each system, the reference first, into `evaluation`, whose records `read_items` read. A
/// system is loaded when its turn comes, and can't be measured twice. Throws Error(usage) where the
/// systems aren't what a measure needs, Error(data) where there is no record, or vocabularies are
/// too different to compare, and as the measures of gist/evaluation.h do.
MeasuredSystems measure_systems(const Systems& systems, const EvaluationItems& items,
                                const EvaluationMeasures& measures, RougeScorer& rouge,
                                const EvaluationEvents& events, Evaluation& evaluation);

}  // namespace gist
