// Charts that have a row a name: bars, and values with their intervals. The name stands above its
// row, so that it has room on a narrow screen.
#include <algorithm>
#include <cmath>
#include <utility>

#include "cli/report/svg.h"

namespace gist {
namespace {

constexpr double left = 6, right = chart_width - 6;
constexpr double label_height = 18, row_gap = 9;
constexpr double bar_height = 12, point_height = 13;

/// A name at the left and what belongs to it at the right.
Html row_label(double baseline, const std::string& name, const std::string& value) {
  const std::string shown_name = fitted(name, right - left - text_width(value) - 8);
  Html label = svg_text({left, baseline}, "start", shown_name, "label");
  if (!value.empty()) label += svg_text({right, baseline}, "end", value, "value");
  return label;
}

std::string with_interval(const IntervalChart::Point& point, Quantity quantity) {
  std::string value = shown(point.value, quantity);
  if (!std::isfinite(point.low) || !std::isfinite(point.high)) return value;
  return fmt::format("{} ({} to {})", value, shown(point.low, quantity),
                     shown(point.high, quantity));
}

Html whisker(const IntervalChart& chart, const IntervalChart::Point& point, const Axis& axis,
             double y) {
  const Series& series = chart.series[point.series];
  const std::string style = style_class(series.style);
  Html parts =
      html("<g><title>{}: {}</title>", series.name, with_interval(point, chart.axis.quantity));
  if (std::isfinite(point.low) && std::isfinite(point.high)) {
    const double from = axis.at(point.low), to = axis.at(point.high);
    parts += svg_path(fmt::format("M{0:.1f} {1:.1f}V{2:.1f}M{3:.1f} {1:.1f}V{2:.1f}M{0:.1f} "
                                  "{4:.1f}H{3:.1f}",
                                  from, y - 3.5, y + 3.5, to, y),
                      "whisker " + style);
  }
  parts += svg_path(marker_path(series.style, {axis.at(point.value), y}, 4.2), "mark " + style);
  return parts + Html{"</g>"};
}

}  // namespace

Html draw(const IntervalChart& chart) {
  std::optional<Range> range;
  for (const IntervalChart::Row& row : chart.rows) {
    for (const IntervalChart::Point& point : row.points) {
      for (const double value : {point.low, point.value, point.high}) include(range, value);
    }
  }
  const Axis axis(chart.axis, range, left + 6, right - 12, 6);
  Html rows;
  double y = 4;
  for (const IntervalChart::Row& row : chart.rows) {
    const bool one = row.points.size() == 1 && !chart.legend;
    rows +=
        row_label(y + 11, row.label, one ? with_interval(row.points[0], chart.axis.quantity) : "");
    y += label_height;
    for (const IntervalChart::Point& point : row.points) {
      if (!std::isfinite(point.value)) continue;
      rows += whisker(chart, point, axis, y + point_height / 2);
      y += point_height;
    }
    y += row_gap;
  }
  Html drawing = x_axis(axis, chart.axis, 4, y);
  if (chart.reference && std::isfinite(*chart.reference)) {
    const double x = axis.at(*chart.reference);
    drawing += svg_line({x, 4}, {x, y}, "reference");
  }
  return figure(chart.text, chart.legend ? chart.series : std::vector<Series>{}, y + axis_height,
                drawing + rows);
}

Html draw(const BarChart& chart) {
  std::optional<Range> range;
  for (const BarChart::Bar& bar : chart.bars) include(range, bar.value);
  AxisSpec spec = chart.axis;
  spec.from_zero = true;
  const Axis axis(spec, range, left, right - 16, 5);
  Html bars;
  double y = 4;
  for (const BarChart::Bar& bar : chart.bars) {
    bars += row_label(y + 11, bar.series.name, shown(bar.value, chart.axis.quantity));
    y += label_height;
    const double width = std::isfinite(bar.value) ? axis.at(bar.value) - left : 0;
    bars += html(
        "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" class=\"bar {}\"/>",
        left, y, std::max(width, 1.0), bar_height, style_class(bar.series.style));
    y += bar_height + row_gap;
  }
  return figure(chart.text, {}, y + axis_height, x_axis(axis, spec, 4, y) + bars);
}

}  // namespace gist
