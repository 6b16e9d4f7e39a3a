#include "cli/report/training_page.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/report/chart.h"
#include "cli/report/page.h"

namespace gist {
namespace {

using Point = LineChart::Point;

constexpr std::size_t most_points = 240;  // of a line
constexpr std::size_t most_rows = 50;     // of a table

constexpr std::size_t training_style = 0, held_out_style = 1;

/// What is measured at each step.
struct StepMeasure {
  const char* id;
  const char* name;
  const char* unit;  // as on the axis
  Quantity quantity;
  bool from_zero;
  double (*value)(const TrainingStep&);
};

constexpr StepMeasure loss_measure{
    "loss",         "Loss", "nats a label token",
    Quantity::nats, false,  [](const TrainingStep& step) { return step.loss; }};
constexpr StepMeasure rate_measure{
    "learning-rate", "Learning rate", "", Quantity::rate, true, [](const TrainingStep& step) {
      return step.learning_rate;
    }};
constexpr StepMeasure norm_measure{
    "gradient-norm",  "Gradient norm", "before clipping",
    Quantity::number, false,           [](const TrainingStep& step) { return step.gradient_norm; }};
constexpr StepMeasure throughput_measure{"throughput",
                                         "Throughput",
                                         "tokens a second",
                                         Quantity::number,
                                         true,
                                         [](const TrainingStep& step) {
                                           return static_cast<double>(step.tokens) /
                                                  std::max(step.seconds, 1e-9);
                                         }};

std::vector<Point> points_of(const TrainingMetrics& metrics, const StepMeasure& measure) {
  std::vector<Point> points;
  points.reserve(metrics.steps.size());
  for (const TrainingStep& step : metrics.steps) {
    const double value = measure.value(step);
    points.push_back({static_cast<double>(step.step), value, value, value});
  }
  return points;
}

std::vector<Point> points_of(const std::vector<HeldOutLoss>& losses) {
  std::vector<Point> points;
  points.reserve(losses.size());
  for (const HeldOutLoss& each : losses) {
    points.push_back({static_cast<double>(each.step), each.loss, each.loss, each.loss});
  }
  return points;
}

/// Values that span more than a linear axis shows.
bool needs_logarithm(const std::vector<LineChart::Line>& lines) {
  std::optional<Range> range;
  for (const LineChart::Line& line : lines) {
    for (const Point& point : line.points) {
      include(range, point.low);
      include(range, point.high);
    }
  }
  return range && range->low > 0 && range->high > 20 * range->low;
}

LineChart step_chart(const TrainingMetrics& metrics, const StepMeasure& measure) {
  LineChart chart;
  LineChart::Line line;
  line.series = {"training", training_style};
  line.points = thinned(points_of(metrics, measure), most_points);
  line.envelope = line.points.size() < metrics.steps.size();
  chart.text = {measure.id, measure.name, std::string(measure.name) + " at each step."};
  if (line.envelope) {
    chart.text.description = fmt::format(
        "{} by step: the line is the mean of about {} steps, the band from their least to their "
        "greatest value.",
        measure.name, (metrics.steps.size() + line.points.size() - 1) / line.points.size());
  }
  chart.x = {"step", Quantity::count};
  chart.y = {measure.unit, measure.quantity, false, measure.from_zero};
  chart.lines.push_back(std::move(line));
  return chart;
}

Html finished_chart(LineChart chart) {
  if (!chart.y.from_zero && needs_logarithm(chart.lines)) {
    chart.y.logarithmic = true;
    chart.y.label += chart.y.label.empty() ? "log scale" : " (log scale)";
  }
  return draw(chart);
}

Html loss_chart(const TrainingMetrics& metrics) {
  LineChart chart = step_chart(metrics, loss_measure);
  if (!metrics.held_out.empty()) {
    LineChart::Line line;
    line.series = {"held out", held_out_style};
    line.points = thinned(points_of(metrics.held_out), most_points);
    line.markers = line.points.size() <= 40;
    chart.lines.push_back(std::move(line));
  }
  return finished_chart(std::move(chart));
}

Html norm_chart(const TrainingMetrics& metrics, double clip) {
  LineChart chart = step_chart(metrics, norm_measure);
  if (clip > 0) chart.levels.push_back({{"clipped to", held_out_style}, clip});
  return finished_chart(std::move(chart));
}

std::string duration(double seconds) {
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 100) return fmt::format("{:.1f} s", seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

const HeldOutLoss* best_of(const TrainingMetrics& metrics) {
  const auto best =
      std::min_element(metrics.held_out.begin(), metrics.held_out.end(),
                       [](const HeldOutLoss& a, const HeldOutLoss& b) { return a.loss < b.loss; });
  return best == metrics.held_out.end() ? nullptr : &*best;
}

Html figures(const TrainingMetrics& metrics) {
  std::int64_t tokens = 0;
  double seconds = 0;
  std::vector<double> throughputs;
  for (const TrainingStep& step : metrics.steps) {
    tokens += step.tokens;
    seconds += step.seconds;
    throughputs.push_back(throughput_measure.value(step));
  }
  std::vector<KeyFigure> all;
  if (const HeldOutLoss* best = best_of(metrics)) {
    all.push_back({number(best->loss, Quantity::nats),
                   "lowest held-out loss, after step " +
                       shown(static_cast<double>(best->step), Quantity::count)});
  }
  const TrainingStep& last = metrics.steps.back();
  all.push_back({number(last.loss, Quantity::nats),
                 "loss of step " + shown(static_cast<double>(last.step), Quantity::count)});
  all.push_back({count(static_cast<std::uint64_t>(tokens)), "tokens"});
  all.push_back({html("{}", duration(seconds)), "in steps"});
  all.push_back(
      {number(std::round(median(throughputs)), Quantity::count), "tokens a second, median"});
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
  const HeldOutLoss* best = best_of(metrics);
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
    page.sections.push_back(
        {"curves", "Curves",
         figures(metrics) +
             chart_row({loss_chart(metrics), finished_chart(step_chart(metrics, rate_measure)),
                        norm_chart(metrics, run.clip),
                        finished_chart(step_chart(metrics, throughput_measure))},
                       true)});
    Html numbers;
    if (!metrics.held_out.empty()) numbers += held_out_table(metrics);
    page.sections.push_back({"numbers", "Numbers", numbers + steps_table(metrics)});
  }
  page.sections.push_back(provenance_section(provenance));
  return page_html(page, provenance.version);
}

}  // namespace gist
