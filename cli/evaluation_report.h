// An evaluation for people, as a table, and for programs, as JSON or TSV.
#pragma once

#include <optional>
#include <string>

#include "gist/evaluation.h"
#include "gist/evaluation_cost.h"
#include "gist/evaluation_summary.h"

namespace gist {

/// One line:
///   {"records", "reference"?, "systems": [{"name", "model"?, "condition"?, "gist_tokens"?,
///    "store"?, "baseline"?, "all": SCORES, COST?, "groups": [{"group", SCORES}]}],
///    "cost"?}
/// SCORES: "records", with a model "label_tokens", each metric that was measured by its key,
/// "intervals": {KEY: [low, high]}, and of systems other than the reference "differences": {KEY:
/// {"value", "low", "high", "p", "p_adjusted"}}: p is two-sided, adjusted for all metrics in
/// "differences" by Holm's method. COST, of systems with a model: "loss_seconds",
/// "generation_seconds", "generated_tokens", and per record "prompt_tokens", "kept_tokens" and
/// "prompt_bytes".
/// With --fidelity, "all" of the others than the reference has "fidelity": {"tenths": [{"records",
/// "max_kl", "agreement", "same", "exact_match"}], "max_kl", "kept_records", "kept_same"}, as
/// gist/fidelity_tenths.h says; a max_kl is null where it is infinite, or none is suggested.
std::string json_report(const Evaluation& evaluation, const EvaluationSummary& summary,
                        const std::optional<CostReport>& cost);

/// A line a group, system and metric, after a heading: group (empty: all), system, metric, value,
/// low, high, difference, its low, high, p and adjusted p.
std::string tsv_report(const Evaluation& evaluation, const EvaluationSummary& summary);

/// Returns text at most 80 columns wide: first a row a metric and a column a system, as many tables
/// as it takes; then the differences to the reference, and tables of the headline metrics with a
/// row a group.
std::string table_report(const Evaluation& evaluation, const EvaluationSummary& summary,
                         const std::optional<CostReport>& cost);

}  // namespace gist
