#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "cli/report/evaluation_parts.h"
#include "cli/report/page.h"
#include "core/visibility.h"

namespace gist {
namespace {

constexpr std::size_t most_listed_groups = 200;

/// A system's name behind its marker.
Html system_name(const EvaluationView& view, std::size_t system) {
  const bool marked = view.is_reference(system) && view.systems() > 1;
  return html("{}{}{}", marker(system), view.name(system),
              Html{marked ? " <span class=\"reference-name\">(reference)</span>" : ""});
}

Html interval_html(const ConfidenceInterval& interval, Quantity quantity) {
  return html("<span class=\"interval\">{} to {}</span>", number(interval.low, quantity),
              number(interval.high, quantity));
}

std::string word_for(Verdict verdict) {
  switch (verdict) {
    case Verdict::better:
      return "better";
    case Verdict::worse:
      return "worse";
    case Verdict::none:
      break;
  }
  return "";
}

Html difference_html(const MetricSummary& summary, double confidence) {
  const Quantity quantity = quantity_of(*summary.metric);
  const ConfidenceInterval& interval = summary.to_reference->interval;
  const std::string word = word_for(verdict_on(summary, confidence));
  return html("<span class=\"difference {0}\">{1} ({2} to {3}){4}</span>", word,
              number_with_sign(interval.value, quantity), number_with_sign(interval.low, quantity),
              number_with_sign(interval.high, quantity), word.empty() ? word : " " + word);
}

/// Shows a metric, and its difference to the reference where `confidence` says when that is sure.
Html metric_cell(const MetricSummary* summary, std::optional<double> confidence) {
  if (summary == nullptr) return number_cell(Html{"–"});
  const Quantity quantity = quantity_of(*summary->metric);
  Html content =
      number(summary->interval.value, quantity) + interval_html(summary->interval, quantity);
  if (confidence && summary->to_reference) content += difference_html(*summary, *confidence);
  return html("<td class=\"number\" data-metric=\"{}\">{}</td>", std::string(summary->metric->key),
              content);
}

std::string confidence(const EvaluationView& view) {
  const BootstrapOptions& bootstrap = view.summary.bootstrap;
  return fmt::format("{:g} % confidence, from {} resamples of the records",
                     100 * bootstrap.confidence, bootstrap.resamples);
}

/// "ROUGE-1 precision" for a metric without a name of its own, after its key and the last name.
std::string name_of_metric(const Metric& metric, const std::string& last) {
  if (*metric.heading != '\0') return title_of(metric);
  const std::string key = metric.key;
  const std::size_t part = key.rfind('_');
  return part == std::string::npos ? key : last + " " + key.substr(part + 1);
}

std::string condition_of(const SystemDescription& system) {
  if (!system.baseline.empty()) return system.baseline;
  return system.model.empty() ? "–" : std::string(name_of(system.condition));
}

std::vector<std::size_t> largest_groups(const EvaluationSummary& summary) {
  std::vector<std::size_t> groups(summary.groups.size());
  std::iota(groups.begin(), groups.end(), std::size_t{0});
  std::stable_sort(groups.begin(), groups.end(), [&](std::size_t a, std::size_t b) {
    return summary.groups[a].records > summary.groups[b].records;
  });
  groups.resize(std::min(groups.size(), most_listed_groups));
  std::sort(groups.begin(), groups.end());
  return groups;
}

Html group_row(const EvaluationView& view, std::size_t index, std::size_t system,
               const std::vector<const Metric*>& metrics) {
  const GroupSummary& group = view.summary.groups[index];
  Html cells = row_heading(html("{}", group.name)) + cell(system_name(view, system)) +
               number_cell(count(group.records));
  for (const Metric* metric : metrics) {
    cells += metric_cell(group.systems[system].find(*metric), std::nullopt);
  }
  return html("<tr data-item data-group=\"{}\" data-system=\"{}\">{}</tr>", index, system, cells);
}

}  // namespace

Html systems_table(const EvaluationView& view) {
  PageTable table{"systems-table",
                  "All records; below each value its interval (" + confidence(view) + ").", true,
                  true};
  table.columns = {column_heading("System", false), column_heading("Condition", false),
                   column_heading("k", true)};
  const std::vector<const Metric*> metrics = headlines(view);
  for (const Metric* metric : metrics) {
    table.columns.push_back(
        column_heading(with_unit(title_of(*metric), quantity_of(*metric)), true));
  }
  for (const SystemMeasure& cost : view.costs) {
    if (cost.quantity == Quantity::seconds) continue;
    table.columns.push_back(column_heading(with_unit(cost.heading, cost.quantity), true));
  }
  for (std::size_t i = 0; i < view.systems(); ++i) {
    const SystemDescription& system = view.evaluation.systems[i].system;
    Html cells = row_heading(system_name(view, i)) + cell(html("{}", condition_of(system)));
    cells += number_cell(
        system.model.empty() ? Html{"–"} : count(static_cast<std::uint64_t>(system.gist_tokens)));
    for (const Metric* metric : metrics) {
      cells += metric_cell(view.summary.all.systems[i].find(*metric), std::nullopt);
    }
    for (const SystemMeasure& cost : view.costs) {
      if (cost.quantity == Quantity::seconds) continue;
      cells += number_cell(number(cost.values[i], cost.quantity));
    }
    table.rows.push_back(html("<tr data-system=\"{}\">{}</tr>", i, cells));
  }
  return table_html(table);
}

Html metrics_table(const EvaluationView& view) {
  std::string caption = "Each metric with its interval";
  if (view.systems() > 1) {
    caption += fmt::format(
        ", and its difference to {} on the same records: “better” or “worse” where that is sure (p "
        "< {:g}, two-sided, adjusted for all metrics of a system by Holm's method)",
        view.reference_name(), 1 - view.summary.bootstrap.confidence);
  }
  PageTable table{"metrics-table", caption + "."};
  table.columns = {column_heading("Metric", false)};
  for (std::size_t i = 0; i < view.systems(); ++i) {
    table.columns.push_back(
        html("<th scope=\"col\" class=\"number\">{}</th>", system_name(view, i)));
  }
  std::string last;
  for (const Metric* metric : measured(view)) {
    const std::string name = name_of_metric(*metric, last);
    if (*metric->heading != '\0') last = name;
    Html cells = row_heading(html("{}", with_unit(name, quantity_of(*metric))));
    for (const SystemSummary& system : view.summary.all.systems) {
      cells += metric_cell(system.find(*metric), view.summary.bootstrap.confidence);
    }
    table.rows.push_back(html("<tr>{}</tr>", cells));
  }
  return table_html(table);
}

Html groups_table(const EvaluationView& view) {
  const std::vector<std::size_t> groups = largest_groups(view.summary);
  const std::vector<const Metric*> metrics = headlines(view);
  std::string caption = "By " + view.evaluation.group_by + ", each with its interval.";
  if (groups.size() < view.summary.groups.size()) {
    caption += fmt::format(" Of {} groups these are the {} with most records.",
                           view.summary.groups.size(), groups.size());
  }
  PageTable table{"groups-table", caption, true, true};
  table.columns = {column_heading(view.evaluation.group_by, false), column_heading("System", false),
                   column_heading("Records", true)};
  for (const Metric* metric : metrics) {
    table.columns.push_back(
        column_heading(with_unit(title_of(*metric), quantity_of(*metric)), true));
  }
  Control by_group{Control::Kind::filter, "group", view.evaluation.group_by, {{"", "all"}}};
  for (const std::size_t group : groups) {
    by_group.choices.push_back({std::to_string(group), view.summary.groups[group].name});
    for (std::size_t i = 0; i < view.systems(); ++i) {
      table.rows.push_back(group_row(view, group, i, metrics));
    }
  }
  Control by_system{Control::Kind::filter, "system", "System", {{"", "all"}}};
  for (std::size_t i = 0; i < view.systems(); ++i) {
    by_system.choices.push_back({std::to_string(i), view.name(i)});
  }
  std::vector<Control> controls{by_group};
  if (view.systems() > 1) controls.push_back(by_system);
  return controls_html(table.id, controls) + table_html(table);
}

Html costs_table(const EvaluationView& view) {
  PageTable table{
      "costs-table",
      "Tokens read and bytes are means of a record: what a store holds is not read; bytes are those "
      "that a store takes of what an answer sees before its input.",
      true, true};
  table.columns = {column_heading("System", false)};
  for (const SystemMeasure& cost : view.costs) {
    table.columns.push_back(column_heading(with_unit(cost.heading, cost.quantity), true));
  }
  for (std::size_t i = 0; i < view.systems(); ++i) {
    Html cells = row_heading(system_name(view, i));
    for (const SystemMeasure& cost : view.costs) {
      cells += number_cell(number(cost.values[i], cost.quantity));
    }
    table.rows.push_back(html("<tr data-system=\"{}\">{}</tr>", i, cells));
  }
  return table_html(table);
}

}  // namespace gist
