#include "cli/report/training_charts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace gist {
namespace {

using Point = LineChart::Point;

constexpr std::size_t most_points = 240;  // of a line
constexpr std::size_t most_file_rows = 500;

constexpr std::size_t training_style = 0, held_out_style = 1, smooth_style = 2;

/// A curve without noise is a mean of a 25th of the steps; of few steps there is none.
constexpr std::size_t least_smoothed_steps = 50, smoothed_part = 25;

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

std::string tsv_field(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20U) c = ' ';
  }
  return text;
}

LineChart::Line smooth_line(const TrainingMetrics& metrics, const Series& series) {
  LineChart::Line line;
  line.series = series;
  const std::size_t half = metrics.steps.size() / smoothed_part / 2;
  line.points = thinned(smoothed(points_of(metrics, loss_measure), half), most_points);
  return line;
}

LineChart::Line held_out_line(const TrainingMetrics& metrics, const Series& series) {
  LineChart::Line line;
  line.series = series;
  line.points = thinned(points_of(metrics.held_out), most_points);
  line.markers = line.points.size() <= 40;
  return line;
}

}  // namespace

const StepMeasure loss_measure{
    "loss",         "Loss", "nats a label token",
    Quantity::nats, false,  [](const TrainingStep& step) { return step.loss; }};
const StepMeasure rate_measure{
    "learning-rate", "Learning rate", "", Quantity::rate, true, [](const TrainingStep& step) {
      return step.learning_rate;
    }};
const StepMeasure norm_measure{
    "gradient-norm",  "Gradient norm", "before clipping",
    Quantity::number, false,           [](const TrainingStep& step) { return step.gradient_norm; }};
const StepMeasure throughput_measure{"throughput",     "Throughput", "tokens a second",
                                     Quantity::number, true,         tokens_per_second};

std::vector<Point> points_of(const TrainingMetrics& metrics, const StepMeasure& measure) {
  std::vector<Point> points;
  points.reserve(metrics.steps.size());
  for (const TrainingStep& step : metrics.steps) {
    const double value = measure.value(step);
    points.push_back({static_cast<double>(step.step), value, value, value});
  }
  return points;
}

Html loss_chart(const TrainingMetrics& metrics) {
  LineChart chart = step_chart(metrics, loss_measure);
  if (metrics.steps.size() >= least_smoothed_steps) {
    chart.lines.push_back(smooth_line(metrics, {"training, smoothed", smooth_style}));
    chart.text.description += fmt::format(" Smoothed: the mean of {} steps around each.",
                                          metrics.steps.size() / smoothed_part / 2 * 2 + 1);
  }
  if (!metrics.held_out.empty()) {
    chart.lines.push_back(held_out_line(metrics, {"held out", held_out_style}));
  }
  return finished_chart(std::move(chart));
}

Html measure_chart(const TrainingMetrics& metrics, const StepMeasure& measure,
                   const std::string& level_name, double level) {
  LineChart chart = step_chart(metrics, measure);
  if (level > 0) chart.levels.push_back({{level_name, held_out_style}, level});
  return finished_chart(std::move(chart));
}

PageFile curves_file(const std::vector<NamedMetrics>& runs) {
  const bool named = runs.size() > 1 || !runs.front().name.empty();
  std::string text = named ? "run\t" : "";
  text += "last_step\tsteps\tloss\tlr\tgrad_norm\ttokens_per_second\theld_out_loss\n";
  for (const NamedMetrics& run : runs) {
    const std::vector<TrainingStep>& steps = run.metrics.steps;
    const std::size_t rows = std::min(steps.size(), most_file_rows);
    std::size_t held_out = 0;
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t begin = steps.size() * row / rows, end = steps.size() * (row + 1) / rows;
      if (named) text += tsv_field(run.name) + "\t";
      text += fmt::format("{}\t{}", steps[end - 1].step, end - begin);
      for (const StepMeasure* measure :
           {&loss_measure, &rate_measure, &norm_measure, &throughput_measure}) {
        double sum = 0;
        for (std::size_t i = begin; i < end; ++i) sum += measure->value(steps[i]);
        text += fmt::format("\t{:.6g}", sum / static_cast<double>(end - begin));
      }
      std::string loss;  // the last within the stretch
      for (const auto& all = run.metrics.held_out;
           held_out < all.size() && all[held_out].step <= steps[end - 1].step; ++held_out) {
        loss = fmt::format("{:.6g}", all[held_out].loss);
      }
      text += "\t" + loss + "\n";
    }
  }
  return {"curves.tsv", "text/tab-separated-values", text};
}

std::string in_words(const TrainingTotals& totals) {
  const auto whole = static_cast<std::int64_t>(std::llround(totals.seconds));
  if (whole < 100) return fmt::format("{:.1f} s", totals.seconds);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole % 3600 / 60);
}

std::vector<Html> compared_charts(const std::vector<NamedMetrics>& runs) {
  LineChart loss, held_out;
  loss.text = {"loss", "Loss", "A line a run: losses by step, means of steps around each."};
  held_out.text = {"held-out-loss", "Held-out loss", "A line a run: losses on held-out records."};
  for (LineChart* chart : {&loss, &held_out}) {
    chart->x = {"step", Quantity::count};
    chart->y = {loss_measure.unit, loss_measure.quantity, false, loss_measure.from_zero};
  }
  for (std::size_t i = 0; i < runs.size(); ++i) {
    const Series series{runs[i].name, i};
    const TrainingMetrics& metrics = runs[i].metrics;
    if (!metrics.steps.empty()) loss.lines.push_back(smooth_line(metrics, series));
    if (!metrics.held_out.empty()) held_out.lines.push_back(held_out_line(metrics, series));
  }
  std::vector<Html> charts;
  for (LineChart* chart : {&loss, &held_out}) {
    if (!chart->lines.empty()) charts.push_back(finished_chart(std::move(*chart)));
  }
  return charts;
}

}  // namespace gist
