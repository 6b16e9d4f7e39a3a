#include "cli/report/runs_page.h"

#include <cmath>

#include "cli/report/page.h"

namespace gist {
namespace {

Html runs_table(const std::vector<NamedMetrics>& runs) {
  PageTable table{"runs-table", "A row a run.", true, true};
  table.columns = {column_heading("Run", false),
                   column_heading("Steps", true),
                   column_heading("Loss of the last step, nats", true),
                   column_heading("Lowest held-out loss, nats", true),
                   column_heading("After step", true),
                   column_heading("Tokens", true),
                   column_heading("In steps", false),
                   column_heading("Tokens a second, median", true)};
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const TrainingMetrics& metrics = runs[i].metrics;
    const TrainingTotals totals = totals_of(metrics);
    const TrainingStep& last = metrics.steps.back();
    const HeldOutLoss* best = lowest(metrics.held_out);
    Html cells = row_heading(marker(i) + html("{}", runs[i].name));
    cells += number_cell(count(static_cast<std::uint64_t>(last.step)));
    cells += number_cell(number(last.loss, Quantity::nats));
    cells += number_cell(best == nullptr ? Html{"–"} : number(best->loss, Quantity::nats));
    cells +=
        number_cell(best == nullptr ? Html{"–"} : count(static_cast<std::uint64_t>(best->step)));
    cells += number_cell(count(static_cast<std::uint64_t>(totals.tokens)));
    cells += cell(html("{}", in_words(totals)));
    cells += number_cell(number(std::round(totals.tokens_per_second), Quantity::count));
    table.rows.push_back(html("<tr>{}</tr>", cells));
  }
  return table_html(table);
}

/// The run with the lowest held-out loss, in front.
Html headline(const std::vector<NamedMetrics>& runs) {
  const NamedMetrics* best = nullptr;
  for (const NamedMetrics& run : runs) {
    const HeldOutLoss* loss = lowest(run.metrics.held_out);
    if (loss == nullptr) continue;
    if (best == nullptr || loss->loss < lowest(best->metrics.held_out)->loss) best = &run;
  }
  if (best == nullptr) return {};
  const HeldOutLoss& loss = *lowest(best->metrics.held_out);
  return key_figures({{number(loss.loss, Quantity::nats), "lowest held-out loss: " + best->name}});
}

}  // namespace

std::string runs_page(const std::vector<NamedMetrics>& runs, const Provenance& provenance) {
  Page page{"Training runs",
            html("<strong>{}</strong> runs.", count(runs.size())),
            {{"curves", "Curves", chart_row(compared_charts(runs), true)},
             {"runs", "Runs", runs_table(runs)},
             provenance_section(provenance)},
            headline(runs)};
  page.sections.back().body += files_html({curves_file(runs)});
  return page_html(page, provenance.version);
}

}  // namespace gist
