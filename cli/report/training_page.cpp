#include "cli/report/training_page.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/report/page.h"
#include "cli/report/training_charts.h"
#include "cli/report/training_samples.h"

namespace gist {
namespace {

constexpr std::size_t most_rows = 50;  // of a table

Html figures(const TrainingMetrics& metrics) {
  const TrainingTotals totals = totals_of(metrics);
  std::vector<KeyFigure> all;
  if (const HeldOutLoss* best = lowest(metrics.held_out)) {
    all.push_back({number(best->loss, Quantity::nats),
                   "lowest held-out loss, after step " +
                       shown(static_cast<double>(best->step), Quantity::count)});
  }
  const TrainingStep& last = metrics.steps.back();
  all.push_back({number(last.loss, Quantity::nats),
                 "loss of step " + shown(static_cast<double>(last.step), Quantity::count)});
  all.push_back({count(static_cast<std::uint64_t>(totals.tokens)), "tokens"});
  all.push_back({html("{}", in_words(totals)), "in steps"});
  all.push_back(
      {number(std::round(totals.tokens_per_second), Quantity::count), "tokens a second, median"});
  return key_figures(all);
}

Html measure_cells(const TrainingMetrics& metrics, std::size_t begin, std::size_t end,
                   const StepMeasure& measure) {
  double sum = 0, low = measure.value(metrics.steps[begin]), high = low;
  for (std::size_t i = begin; i < end; ++i) {
    const double value = measure.value(metrics.steps[i]);
    sum += value;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  const double mean = sum / static_cast<double>(end - begin);
  const Quantity quantity = measure.quantity;
  Html content = number(mean, quantity);
  if (end - begin > 1) {
    content += html("<span class=\"interval\">{} to {}</span>", number(low, quantity),
                    number(high, quantity));
  }
  return number_cell(content);
}

/// A row a stretch of steps.
Html steps_table(const TrainingMetrics& metrics) {
  constexpr std::array<const StepMeasure*, 4> measures{&loss_measure, &rate_measure, &norm_measure,
                                                       &throughput_measure};
  const std::size_t rows = std::min(metrics.steps.size(), most_rows);
  const bool stretches = rows < metrics.steps.size();
  PageTable table{"steps-table",
                  stretches
                      ? "Means of stretches of steps; below them the least and the greatest value."
                      : "Each step.",
                  true, true};
  table.columns = {column_heading("Last step", true)};
  for (const StepMeasure* measure : measures) {
    const std::string unit = *measure->unit == '\0' ? "" : fmt::format(", {}", measure->unit);
    table.columns.push_back(column_heading(measure->name + unit, true));
  }
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t begin = metrics.steps.size() * row / rows;
    const std::size_t end = metrics.steps.size() * (row + 1) / rows;
    Html cells = html("<th scope=\"row\" class=\"number\">{}</th>",
                      count(static_cast<std::uint64_t>(metrics.steps[end - 1].step)));
    for (const StepMeasure* measure : measures)
      cells += measure_cells(metrics, begin, end, *measure);
    table.rows.push_back(html("<tr>{}</tr>", cells));
  }
  return table_html(table);
}

Html held_out_table(const TrainingMetrics& metrics) {
  const HeldOutLoss* best = lowest(metrics.held_out);
  const std::size_t every = (metrics.held_out.size() + most_rows - 1) / most_rows;
  std::string caption = "Loss on held-out records.";
  if (every > 1) {
    caption +=
        fmt::format(" Every {}th of {}, the last and the lowest.", every, metrics.held_out.size());
  }
  PageTable table{"held-out-table", caption, true, true};
  table.columns = {column_heading("After step", true),
                   column_heading("Loss, nats a label token", true),
                   column_heading("Perplexity", true)};
  for (std::size_t i = 0; i < metrics.held_out.size(); ++i) {
    const HeldOutLoss& each = metrics.held_out[i];
    if (i % every != 0 && &each != best && i + 1 != metrics.held_out.size()) continue;
    table.rows.push_back(
        html("<tr><th scope=\"row\" class=\"number\">{}</th>{}{}</tr>",
             count(static_cast<std::uint64_t>(each.step)),
             number_cell(html("{}{}", number(each.loss, Quantity::nats),
                              Html{&each == best ? "<span class=\"interval\">lowest</span>" : ""})),
             number_cell(number(std::exp(each.loss), Quantity::number))));
  }
  return table_html(table);
}

Html lead(const TrainingRun& run) {
  return html("<strong>Step {} of {}</strong>, {}.", count(static_cast<std::uint64_t>(run.step)),
              count(static_cast<std::uint64_t>(run.steps)), run.state);
}

}  // namespace

std::string training_page(const TrainingMetrics& metrics, const TrainingRun& run,
                          const Provenance& provenance) {
  Page page{"Training of " + run.output, lead(run), {}};
  if (!metrics.steps.empty()) {
    page.headline = figures(metrics);
    page.sections.push_back(
        {"curves", "Curves",
         chart_row({loss_chart(metrics), measure_chart(metrics, rate_measure),
                    measure_chart(metrics, norm_measure, "clipped to", run.clip),
                    measure_chart(metrics, throughput_measure)},
                   true)});
    if (!metrics.samples.empty()) {
      page.sections.push_back({"samples", "Samples", training_samples(metrics)});
    }
    Html numbers;
    if (!metrics.held_out.empty()) numbers += held_out_table(metrics);
    page.sections.push_back({"numbers", "Numbers", numbers + steps_table(metrics)});
  }
  page.sections.push_back(provenance_section(provenance));
  if (!metrics.steps.empty()) {
    page.sections.back().body += files_html({curves_file({{"", metrics}})});
  }
  return page_html(page, provenance.version);
}

}  // namespace gist
