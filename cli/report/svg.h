// The parts that charts are drawn from.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/report/axis.h"
#include "cli/report/chart.h"
#include "cli/report/html.h"

namespace gist {

// The drawing's unit is a pixel of a phone's screen.
constexpr double chart_width = 360;
constexpr double axis_height = 42;
constexpr double character_width = 6.6;  // of the labels' font, on average
constexpr std::size_t styles = 8;        // different colours and markers; then they begin anew

struct Point2 {
  double x = 0, y = 0;
};

/// The class that gives a series its colour, and its dash: "s0".
std::string style_class(std::size_t style);
/// The path of a marker around a point.
std::string marker_path(std::size_t style, Point2 at, double radius = 3.6);
std::string polyline_path(std::span<const Point2> points);

/// `kind`: start, middle or end.
Html svg_text(Point2 at, std::string_view kind, std::string_view text,
              std::string_view classes = "");
Html svg_line(Point2 from, Point2 to, std::string_view classes);
Html svg_path(const std::string& path, std::string_view classes);

double text_width(std::string_view text);
/// About the part of a text that so many pixels hold, cut in the middle: names differ at their
/// ends.
std::string fitted(const std::string& text, double width);

/// Ticks with lines through the plot from top to bottom, and the axis's name below it.
Html x_axis(const Axis& axis, const AxisSpec& spec, double top, double bottom);
/// Ticks with lines from left to right, and the axis's name above them.
Html y_axis(const Axis& axis, const AxisSpec& spec, double left, double right);

/// The figure around a drawing of this height.
Html figure(const ChartText& text, const std::vector<Series>& legend, double height,
            const Html& drawing);

}  // namespace gist
