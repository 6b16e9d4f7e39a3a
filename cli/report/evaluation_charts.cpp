#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "cli/report/evaluation_parts.h"
#include "core/visibility.h"

namespace gist {
namespace {

constexpr std::size_t most_charted_groups = 8;  // more are for the table

Series series_of(const EvaluationView& view, std::size_t system) {
  return {view.name(system), system};
}

std::optional<IntervalChart::Point> point_of(const SystemSummary& system, const Metric& metric,
                                             std::size_t series) {
  const MetricSummary* summary = system.find(metric);
  if (summary == nullptr || !std::isfinite(summary->interval.value)) return std::nullopt;
  return IntervalChart::Point{series, summary->interval.value, summary->interval.low,
                              summary->interval.high};
}

IntervalChart interval_chart(const EvaluationView& view, const Metric& metric,
                             const std::string& id) {
  IntervalChart chart;
  chart.text = {fmt::format("{}-{}", id, metric.key), title_of(metric), ""};
  chart.axis = {with_unit(metric.heading, quantity_of(metric)), quantity_of(metric)};
  for (std::size_t i = 0; i < view.systems(); ++i) chart.series.push_back(series_of(view, i));
  return chart;
}

std::string better_end(const Metric& metric) {
  return metric.higher_is_better ? "Right is better." : "Left is better.";
}

Html quality_chart(const EvaluationView& view, const Metric& metric) {
  IntervalChart chart = interval_chart(view, metric, "quality");
  chart.text.description =
      fmt::format("A point a system with its confidence interval. {}", better_end(metric));
  for (std::size_t i = 0; i < view.systems(); ++i) {
    const auto point = point_of(view.summary.all.systems[i], metric, i);
    if (!point) continue;
    chart.rows.push_back({view.name(i), {*point}});
    if (view.is_reference(i) && view.systems() > 1) chart.reference = point->value;
  }
  return draw(chart);
}

Html group_chart(const EvaluationView& view, const Metric& metric) {
  IntervalChart chart = interval_chart(view, metric, "groups");
  chart.text.caption += " by " + view.evaluation.group_by;
  chart.text.description = fmt::format(
      "For each group a point a system with its confidence interval. {}", better_end(metric));
  chart.legend = view.systems() > 1;
  for (const GroupSummary& group : view.summary.groups) {
    IntervalChart::Row row{group.name, {}};
    for (std::size_t i = 0; i < view.systems(); ++i) {
      if (const auto point = point_of(group.systems[i], metric, i)) row.points.push_back(*point);
    }
    if (!row.points.empty()) chart.rows.push_back(std::move(row));
  }
  return chart.rows.empty() ? Html{} : draw(chart);
}

/// Systems that differ in k alone, in its order: those under gist, or those of a baseline.
struct Sweep {
  std::string name;
  std::vector<std::size_t> systems;
};

std::vector<Sweep> sweeps(const EvaluationView& view) {
  std::vector<Sweep> found;
  for (std::size_t i = 0; i < view.systems(); ++i) {
    const SystemDescription& system = view.evaluation.systems[i].system;
    const bool has_k =
        system.gist_tokens > 0 && (!system.baseline.empty() || system.condition == Condition::gist);
    if (system.model.empty() || !has_k) continue;
    const std::string name = system.baseline.empty() ? "gist" : system.baseline;
    const auto sweep = std::find_if(found.begin(), found.end(),
                                    [&](const Sweep& each) { return each.name == name; });
    if (sweep == found.end()) {
      found.push_back({name, {i}});
    } else {
      sweep->systems.push_back(i);
    }
  }
  for (Sweep& sweep : found) {
    std::stable_sort(sweep.systems.begin(), sweep.systems.end(), [&](std::size_t a, std::size_t b) {
      return view.evaluation.systems[a].system.gist_tokens <
             view.evaluation.systems[b].system.gist_tokens;
    });
  }
  return found;
}

double k_of(const EvaluationView& view, std::size_t system) {
  return static_cast<double>(view.evaluation.systems[system].system.gist_tokens);
}

bool in_a_sweep(const std::vector<Sweep>& sweeps, std::size_t system) {
  return std::any_of(sweeps.begin(), sweeps.end(), [&](const Sweep& sweep) {
    return std::find(sweep.systems.begin(), sweep.systems.end(), system) != sweep.systems.end();
  });
}

Html gist_token_chart(const EvaluationView& view, const std::vector<Sweep>& sweeps,
                      const Metric& metric) {
  LineChart chart;
  chart.text = {
      fmt::format("gist-tokens-{}", metric.key), title_of(metric) + " against k",
      "Against the number of gist tokens: lines through the systems that differ in it, with "
      "confidence intervals; broken lines from side to side are systems that don't."};
  chart.x = {"gist tokens (k)", Quantity::count, true};
  chart.y = {with_unit(metric.heading, quantity_of(metric)), quantity_of(metric)};
  std::size_t style = 0;
  for (const Sweep& sweep : sweeps) {
    LineChart::Line line;
    line.series = {sweep.name, sweep.systems.front()};
    line.markers = line.intervals = true;
    for (const std::size_t system : sweep.systems) {
      const auto point = point_of(view.summary.all.systems[system], metric, style);
      if (!point) continue;
      const double k = k_of(view, system);
      // Two systems of one k: no line says which belongs to which.
      if (!line.points.empty() && line.points.back().x == k) line.connected = false;
      line.points.push_back({k, point->value, point->low, point->high});
      chart.x_values.push_back(k);
    }
    if (!line.points.empty()) chart.lines.push_back(std::move(line));
  }
  for (std::size_t i = 0; i < view.systems(); ++i) {
    if (in_a_sweep(sweeps, i)) continue;
    if (const auto point = point_of(view.summary.all.systems[i], metric, i)) {
      chart.levels.push_back({series_of(view, i), point->value});
    }
  }
  std::sort(chart.x_values.begin(), chart.x_values.end());
  chart.x_values.erase(std::unique(chart.x_values.begin(), chart.x_values.end()),
                       chart.x_values.end());
  return chart.lines.empty() ? Html{} : draw(chart);
}

/// The charts that show something.
std::vector<Html> without_empty(std::vector<Html> charts) {
  std::erase_if(charts, [](const Html& chart) { return chart.empty(); });
  return charts;
}

}  // namespace

std::vector<Html> quality_charts(const EvaluationView& view) {
  std::vector<Html> charts;
  for (const Metric* metric : headlines(view)) charts.push_back(quality_chart(view, *metric));
  return charts;
}

std::vector<Html> group_charts(const EvaluationView& view) {
  if (view.summary.groups.size() < 2 || view.summary.groups.size() > most_charted_groups) return {};
  std::vector<Html> charts;
  for (const Metric* metric : headlines(view)) charts.push_back(group_chart(view, *metric));
  return without_empty(std::move(charts));
}

std::vector<Html> gist_token_charts(const EvaluationView& view) {
  const std::vector<Sweep> all = sweeps(view);
  const bool several = std::any_of(all.begin(), all.end(), [&](const Sweep& sweep) {
    return k_of(view, sweep.systems.front()) != k_of(view, sweep.systems.back());
  });
  if (!several) return {};
  std::vector<Html> charts;
  for (const Metric* metric : headlines(view)) {
    charts.push_back(gist_token_chart(view, all, *metric));
  }
  return without_empty(std::move(charts));
}

std::vector<Html> cost_charts(const EvaluationView& view) {
  std::vector<Html> charts;
  for (std::size_t i = 0; i < view.costs.size(); ++i) {
    const SystemMeasure& cost = view.costs[i];
    BarChart chart;
    chart.text = {fmt::format("cost-{}", i), cost.heading, "A bar a system; shorter is better."};
    chart.axis = {with_unit(cost.heading, cost.quantity), cost.quantity, false, true};
    for (std::size_t system = 0; system < view.systems(); ++system) {
      if (!std::isfinite(cost.values[system])) continue;
      chart.bars.push_back({series_of(view, system), cost.values[system]});
    }
    if (!chart.bars.empty()) charts.push_back(draw(chart));
  }
  return charts;
}

}  // namespace gist
