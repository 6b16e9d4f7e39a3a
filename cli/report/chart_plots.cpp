// Charts with two axes: lines, points, histograms.
#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/report/svg.h"

namespace gist {
namespace {

constexpr double plot_left = 46, plot_right = chart_width - 10;
constexpr double top = 26, plot_height = 190;

std::vector<Point2> placed(std::span<const LineChart::Point> points, const Axis& x, const Axis& y) {
  std::vector<Point2> at;
  for (const LineChart::Point& point : points) at.push_back({x.at(point.x), y.at(point.y)});
  return at;
}

/// Draws a line along the lows and then back along the highs.
Html envelope(const LineChart::Line& line, const Axis& x, const Axis& y) {
  std::vector<Point2> border, back;
  for (const LineChart::Point& point : line.points) {
    border.push_back({x.at(point.x), y.at(point.low)});
    back.push_back({x.at(point.x), y.at(point.high)});
  }
  border.insert(border.end(), back.rbegin(), back.rend());
  return svg_path(polyline_path(border) + "z", "envelope " + style_class(line.series.style));
}

Html intervals(const LineChart::Line& line, const Axis& x, const Axis& y) {
  std::string path;
  for (const LineChart::Point& point : line.points) {
    if (!std::isfinite(point.low) || !std::isfinite(point.high)) continue;
    const double at = x.at(point.x), low = y.at(point.low), high = y.at(point.high);
    path += fmt::format("M{0:.1f} {2:.1f}V{3:.1f}M{1:.1f} {2:.1f}h7M{1:.1f} {3:.1f}h7", at,
                        at - 3.5, low, high);
  }
  return svg_path(path, "whisker " + style_class(line.series.style));
}

Html drawn(const LineChart::Line& line, const Axis& x, const Axis& y) {
  Html parts;
  const std::string style = style_class(line.series.style);
  const std::vector<Point2> points = placed(line.points, x, y);
  if (line.envelope) parts += envelope(line, x, y);
  if (line.intervals) parts += intervals(line, x, y);
  if (line.connected && points.size() > 1) {
    parts += svg_path(polyline_path(points), "line " + style);
  }
  if (line.markers || points.size() == 1) {
    std::string path;
    for (const Point2& point : points) path += marker_path(line.series.style, point);
    parts += svg_path(path, "mark " + style);
  }
  return parts;
}

/// Writes what the page's script shows under the pointer: for each point where it stands, and its
/// values.
Html values_of(const LineChart::Line& line, const LineChart& chart, const Axis& x, const Axis& y) {
  std::string points;
  for (const LineChart::Point& point : line.points) {
    points += fmt::format("{}{:.1f}|{:.1f}|{}|{}", points.empty() ? "" : ";", x.at(point.x),
                          y.at(point.y), shown(point.x, chart.x.quantity),
                          shown(point.y, chart.y.quantity));
  }
  return html("<g data-name=\"{}\" data-points=\"{}\"></g>", line.series.name, points);
}

Html drawn(const LineChart::Level& level, const Axis& y) {
  const double at = y.at(level.value);
  const std::string style = style_class(level.series.style);
  return svg_line({plot_left, at}, {plot_right, at}, "level " + style) +
         svg_path(marker_path(level.series.style, {plot_right - 3, at}), "mark " + style);
}

/// Only where a ticks' text has room.
Html chosen_ticks(const Axis& axis, const AxisSpec& spec, const std::vector<double>& values,
                  double bottom) {
  Html parts{"<g class=\"axis\">"};
  double free_from = -1;
  for (const double value : values) {
    const double x = axis.at(value);
    parts += svg_line({x, bottom}, {x, bottom + 4}, "grid");
    if (x < free_from) continue;
    parts += svg_text({x, bottom + 18}, "middle", shown(value, spec.quantity));
    free_from = x + 20;
  }
  parts += svg_text({(plot_left + plot_right) / 2, bottom + 34}, "middle", spec.label, "name");
  return parts + Html{"</g>"};
}

}  // namespace

Html draw(const LineChart& chart) {
  std::optional<Range> xs, ys;
  std::vector<Series> legend;
  for (const LineChart::Line& line : chart.lines) {
    legend.push_back(line.series);
    for (const LineChart::Point& point : line.points) {
      include(xs, point.x);
      include(ys, point.y);
      if (!line.envelope && !line.intervals) continue;
      include(ys, point.low);
      include(ys, point.high);
    }
  }
  for (const LineChart::Level& level : chart.levels) {
    legend.push_back(level.series);
    include(ys, level.value);
  }
  const double bottom = top + plot_height;
  const bool chosen = !chart.x_values.empty();
  const Axis x(chart.x, xs, plot_left + (chosen ? 14 : 0), plot_right - (chosen ? 14 : 0), 5);
  const Axis y(chart.y, ys, bottom, top, 5);
  Html drawing =
      chosen ? chosen_ticks(x, chart.x, chart.x_values, bottom) : x_axis(x, chart.x, top, bottom);
  drawing += y_axis(y, chart.y, plot_left, plot_right);
  for (const LineChart::Level& level : chart.levels) drawing += drawn(level, y);
  for (const LineChart::Line& line : chart.lines) drawing += drawn(line, x, y);
  for (const LineChart::Line& line : chart.lines) drawing += values_of(line, chart, x, y);
  if (legend.size() == 1) legend.clear();
  return figure(chart.text, legend, bottom + axis_height, drawing);
}

Html draw(const ScatterChart& chart) {
  std::optional<Range> xs, ys;
  std::vector<Series> legend;
  for (const ScatterChart::Cloud& cloud : chart.clouds) {
    legend.push_back(cloud.series);
    for (const auto* points : {&cloud.points, &cloud.trend}) {
      for (const ScatterChart::Point& point : *points) {
        include(xs, point.x);
        include(ys, point.y);
      }
    }
  }
  const double bottom = top + plot_height;
  const Axis x(chart.x, xs, plot_left, plot_right, 5);
  const Axis y(chart.y, ys, bottom, top, 5);
  Html drawing = x_axis(x, chart.x, top, bottom) + y_axis(y, chart.y, plot_left, plot_right);
  for (const ScatterChart::Cloud& cloud : chart.clouds) {
    std::string path;
    for (const ScatterChart::Point& point : cloud.points) {
      path += marker_path(cloud.series.style, {x.at(point.x), y.at(point.y)}, 2.2);
    }
    drawing += svg_path(path, "dots " + style_class(cloud.series.style));
  }
  for (const ScatterChart::Cloud& cloud : chart.clouds) {
    std::vector<Point2> trend;
    for (const ScatterChart::Point& point : cloud.trend) {
      trend.push_back({x.at(point.x), y.at(point.y)});
    }
    if (trend.size() < 2) continue;
    const std::string path = polyline_path(trend);
    drawing += svg_path(path, "halo");
    drawing += svg_path(path, "line trend " + style_class(cloud.series.style));
  }
  return figure(chart.text, legend, bottom + axis_height, drawing);
}

namespace {

constexpr std::size_t bins = 30;
constexpr double panel_height = 110;

std::vector<std::size_t> counts_of(std::span<const double> values, const Axis& x) {
  std::vector<std::size_t> counts(bins);
  for (const double value : values) {
    const double share = (x.at(value) - x.begin()) / (x.end() - x.begin());
    ++counts[std::min(static_cast<std::size_t>(share * bins), bins - 1)];
  }
  return counts;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Html bars_of(const std::vector<std::size_t>& counts, const Axis& x, const Axis& y, double bottom) {
  const double width = (x.end() - x.begin()) / bins;
  std::string path;
  for (std::size_t i = 0; i < bins; ++i) {
    if (counts[i] == 0) continue;
    path += fmt::format("M{:.1f} {:.1f}h{:.1f}V{:.1f}h-{:.1f}z",
                        x.begin() + static_cast<double>(i) * width + 0.5, bottom, width - 1,
                        y.at(static_cast<double>(counts[i])), width - 1);
  }
  return svg_path(path, "bar");
}

Html panel_figure(const HistogramChart& chart, std::size_t index, const Axis& x, std::size_t most) {
  const HistogramChart::Panel& panel = chart.panels[index];
  const double bottom = top + panel_height;
  const AxisSpec counts_spec{chart.counted, Quantity::count, false, true};
  const Axis y(counts_spec, Range{0, static_cast<double>(most)}, bottom, top, 3);
  const double middle = median(panel.values), at = x.at(middle);
  Html drawing = x_axis(x, chart.axis, top, bottom) + y_axis(y, counts_spec, plot_left, plot_right);
  drawing += html("<g class=\"{}\">{}</g>", style_class(panel.series.style),
                  bars_of(counts_of(panel.values, x), x, y, bottom));
  drawing += svg_line({at, top}, {at, bottom}, "reference");
  drawing += svg_text({plot_right, top - 12}, "end", "median " + shown(middle, chart.axis.quantity),
                      "value");
  ChartText text = chart.text;
  text.id += fmt::format("-{}", index);
  text.caption = panel.series.name;
  return figure(text, {}, bottom + axis_height, drawing);
}

}  // namespace

std::vector<Html> draw(const HistogramChart& chart) {
  std::optional<Range> range;
  for (const HistogramChart::Panel& panel : chart.panels) {
    for (const double value : panel.values) include(range, value);
  }
  const Axis x(chart.axis, range, plot_left, plot_right, 5);
  std::size_t most = 1;
  for (const HistogramChart::Panel& panel : chart.panels) {
    const std::vector<std::size_t> counts = counts_of(panel.values, x);
    most = std::max(most, *std::max_element(counts.begin(), counts.end()));
  }
  std::vector<Html> figures;
  for (std::size_t i = 0; i < chart.panels.size(); ++i) {
    figures.push_back(panel_figure(chart, i, x, most));
  }
  return figures;
}

}  // namespace gist
