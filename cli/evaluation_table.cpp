#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "cli/evaluation_cost_table.h"
#include "cli/evaluation_report.h"
#include "cli/fidelity_table.h"
#include "cli/table.h"
#include "cli/words.h"

namespace gist {
namespace {

std::string number(const Metric& metric, double value, bool with_sign = false) {
  const bool fraction = metric.unit == Metric::Unit::fraction;
  const double shown = fraction ? 100 * value : value;
  const int digits = fraction ? 1 : metric.unit == Metric::Unit::nats ? 4 : 2;
  return with_sign ? fmt::format("{:+.{}f}", shown, digits) : fmt::format("{:.{}f}", shown, digits);
}

/// An end of an interval: three digits do where the value has more.
std::string bound(const Metric& metric, double value, bool with_sign) {
  const bool many_digits =
      metric.unit == Metric::Unit::nats || metric.form == Metric::Form::exponential;
  if (!many_digits) return number(metric, value, with_sign);
  const std::string digits =
      std::abs(value) >= 100 ? fmt::format("{:.0f}", value) : fmt::format("{:#.3g}", value);
  return with_sign && value >= 0 ? "+" + digits : digits;
}

/// "41.0 (36.8–45.4)", or with signs "+0.8 (-3.2, +4.8)": both ends, as an interval may be wider
/// on one side.
std::string with_interval(const Metric& metric, const ConfidenceInterval& interval,
                          bool with_sign = false) {
  return fmt::format("{} ({}{}{})", number(metric, interval.value, with_sign),
                     bound(metric, interval.low, with_sign), with_sign ? ", " : "–",
                     bound(metric, interval.high, with_sign));
}

/// A difference that is sure is marked.
std::string difference_of(const MetricSummary& summary, double confidence) {
  const std::string text = with_interval(*summary.metric, summary.to_reference->interval, true);
  return text + (verdict_on(summary, confidence) == Verdict::none ? " " : "*");
}

std::string with_unit(const Metric& metric) {
  return metric.unit == Metric::Unit::fraction ? fmt::format("{}, %", metric.heading)
                                               : std::string(metric.heading);
}

/// Returns what all systems' names begin with, up to a hyphen: the columns' heads do without it.
std::string common_beginning(const Evaluation& evaluation) {
  std::string common = evaluation.systems.front().system.name;
  if (evaluation.systems.size() == 1) return "";
  for (const SystemResults& each : evaluation.systems) {
    const std::string& name = each.system.name;
    const auto differs = std::mismatch(common.begin(), common.end(), name.begin(), name.end());
    common.erase(differs.first, common.end());
  }
  const std::size_t hyphen = common.rfind('-');
  return hyphen == std::string::npos ? "" : common.substr(0, hyphen + 1);
}

std::string name_in(const Evaluation& evaluation, std::size_t system) {
  return evaluation.systems[system].system.name.substr(common_beginning(evaluation).size());
}

std::vector<std::string> heading(const std::string& first, const Evaluation& evaluation) {
  std::vector<std::string> row{first};
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) row.push_back(name_in(evaluation, i));
  return row;
}

std::string metrics_table(const Evaluation& evaluation, const GroupSummary& group) {
  Table table{{heading(counted(group.records, "record"), evaluation)}};
  for (const Metric& metric : evaluation_metrics()) {
    if (*metric.heading == '\0') continue;
    std::vector<std::string> row{with_unit(metric)};
    bool any = false;
    for (const SystemSummary& system : group.systems) {
      const MetricSummary* found = system.find(metric);
      row.push_back(found == nullptr ? "" : with_interval(metric, found->interval));
      any = any || found != nullptr;
    }
    if (any) table.rows.push_back(std::move(row));
  }
  const auto add = [&](const char* name, auto value) {
    std::vector<std::string> row{name};
    for (const SystemResults& each : evaluation.systems) row.push_back(value(each));
    table.rows.push_back(std::move(row));
  };
  if (evaluation.systems.front().system.model.empty()) return table.text();
  add("condition, k", [](const SystemResults& each) {
    return fmt::format("{}, {}", name_of(each.system.condition), each.system.gist_tokens);
  });
  add("tokens read",
      [](const SystemResults& each) { return fmt::format("{:.1f}", cost_of(each).prompt_tokens); });
  add("bytes a prompt",
      [](const SystemResults& each) { return fmt::format("{:.0f}", cost_of(each).prompt_bytes); });
  add("seconds, completions",
      [](const SystemResults& each) { return fmt::format("{:.2f}", each.generation_seconds); });
  return table.text();
}

std::string differences_table(const Evaluation& evaluation, const GroupSummary& group,
                              double confidence) {
  Table table{{{fmt::format("less {}", name_in(evaluation, evaluation.reference_system))}}};
  for (std::size_t i = 0; i < group.systems.size(); ++i) {
    if (i != evaluation.reference_system) table.rows[0].push_back(name_in(evaluation, i));
  }
  for (const Metric& metric : evaluation_metrics()) {
    if (!metric.headline) continue;
    std::vector<std::string> row{with_unit(metric)};
    for (std::size_t i = 0; i < group.systems.size(); ++i) {
      if (i == evaluation.reference_system) continue;
      const MetricSummary* found = group.systems[i].find(metric);
      row.push_back(found == nullptr || !found->to_reference ? ""
                                                             : difference_of(*found, confidence));
    }
    table.rows.push_back(std::move(row));
  }
  return table.text();
}

std::string group_table(const Evaluation& evaluation, const EvaluationSummary& summary,
                        const Metric& metric) {
  Table table{{heading(with_unit(metric), evaluation)}};
  table.rows[0].insert(table.rows[0].begin() + 1, "records");
  bool any = false;
  for (const GroupSummary& group : summary.groups) {
    std::vector<std::string> row{group.name, std::to_string(group.records)};
    for (const SystemSummary& system : group.systems) {
      const MetricSummary* found = system.find(metric);
      row.push_back(found == nullptr ? "" : with_interval(metric, found->interval));
      any = any || found != nullptr;
    }
    table.rows.push_back(std::move(row));
  }
  return any ? "\n" + table.text() : "";
}

}  // namespace

std::string table_report(const Evaluation& evaluation, const EvaluationSummary& summary,
                         const std::optional<CostReport>& cost) {
  std::string text = metrics_table(evaluation, summary.all);
  const BootstrapOptions& bootstrap = summary.bootstrap;
  const bool several = evaluation.systems.size() > 1;
  if (several) text += "\n" + differences_table(evaluation, summary.all, bootstrap.confidence);
  if (!summary.groups.empty()) {
    for (const Metric& metric : evaluation_metrics()) {
      if (metric.headline) text += group_table(evaluation, summary, metric);
    }
  }
  text +=
      fmt::format("\nin brackets: {:g} % confidence intervals, from {} resamples of the records\n",
                  100 * bootstrap.confidence, bootstrap.resamples);
  if (several) {
    text += fmt::format("*: sure: p < {:g}, adjusted for all metrics (Holm)\n",
                        1 - bootstrap.confidence);
  }
  for (std::size_t i = 0; i < evaluation.systems.size(); ++i) {
    const SystemDescription& system = evaluation.systems[i].system;
    if (system.condition != Condition::gist || !system.baseline.empty()) continue;
    const std::string tenths =
        fidelity_table(fidelity_tenths(evaluation.systems[i].records), name_in(evaluation, i),
                       name_in(evaluation, evaluation.reference_system));
    if (!tenths.empty()) text += "\n" + tenths;
  }
  const std::string common = common_beginning(evaluation);
  if (!common.empty()) text += fmt::format("names without \"{}\"\n", common);
  return cost ? text + "\n" + cost_table(*cost) : text;
}

}  // namespace gist
