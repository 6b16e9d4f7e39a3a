// The parts of an evaluation's page.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "cli/report/chart.h"
#include "cli/report/html.h"
#include "cli/report/numbers.h"
#include "gist/evaluation.h"
#include "gist/evaluation_cost.h"
#include "gist/evaluation_summary.h"

namespace gist {

/// A number of each system.
struct SystemMeasure {
  std::string heading;  // "Tokens read"
  Quantity quantity = Quantity::number;
  std::vector<double> values;  // [systems]; not a number where there is none
};

/// EvaluationView is what all parts are made from.
struct EvaluationView {
  const Evaluation& evaluation;
  const EvaluationSummary& summary;
  std::vector<SystemMeasure> costs;

  std::size_t systems() const { return evaluation.systems.size(); }
  const std::string& name(std::size_t system) const {
    return evaluation.systems[system].system.name;
  }
  bool is_reference(std::size_t system) const { return system == evaluation.reference_system; }
  const std::string& reference_name() const { return name(evaluation.reference_system); }
};

Quantity quantity_of(const Metric& metric);
/// The metric's heading as a title: "Exact match".
std::string title_of(const Metric& metric);
/// The metrics that any system has, in their order.
std::vector<const Metric*> measured(const EvaluationView& view);
/// Returns the metrics that are also shown by group.
std::vector<const Metric*> headlines(const EvaluationView& view);

// --- evaluation_tables.cpp ---

Html systems_table(const EvaluationView& view);
Html metrics_table(const EvaluationView& view);
/// Returns a table of the groups with most records, and the controls that filter it.
Html groups_table(const EvaluationView& view);
Html costs_table(const EvaluationView& view);

// --- evaluation_charts.cpp: nothing where there is nothing to draw ---

std::vector<Html> quality_charts(const EvaluationView& view);
/// Only of a few groups.
std::vector<Html> group_charts(const EvaluationView& view);
/// Charts of the systems that differ in k.
std::vector<Html> gist_token_charts(const EvaluationView& view);
std::vector<Html> cost_charts(const EvaluationView& view);

// --- record_charts.cpp: of each record, or of some ---

constexpr std::size_t most_points = 1600;  // of a chart, all systems together
std::vector<Html> compression_charts(const EvaluationView& view);
std::vector<Html> fidelity_charts(const EvaluationView& view);

// --- caching_cost.cpp ---

/// Charts and a table.
Html caching_costs(const CostReport& report);

// --- samples.cpp ---

/// Some records with all answers, and the controls that sort and filter them.
Html samples(const EvaluationView& view);

}  // namespace gist
