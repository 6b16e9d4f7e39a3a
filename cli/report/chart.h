// Charts as inline SVG, from plain structs. Each is a <figure>: a caption, a legend where colours
// and markers need one, and a drawing with a title and a description for those who can't see it.
// Colours and sizes are those of page.css; a series has a marker and a dash of its own, too.
// Drawings are as wide as a phone's screen, where they are readable; larger screens show several in
// a row.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "cli/report/axis.h"
#include "cli/report/html.h"

namespace gist {

struct ChartText {
  std::string id;  // of the figure; different from all others on the page
  std::string caption;
  std::string description;  // what the chart shows, in a sentence or two
};

/// Something that is drawn in one colour: the same style in all charts of a page.
struct Series {
  std::string name;
  std::size_t style = 0;
};

/// A small drawing of a style's marker, for what isn't a chart.
Html marker(std::size_t style);

/// A value with its confidence interval a line, or several of them, of different series.
struct IntervalChart {
  struct Point {
    std::size_t series = 0;
    double value = 0, low = 0, high = 0;
  };
  struct Row {
    std::string label;
    std::vector<Point> points;
  };
  ChartText text;
  AxisSpec axis;
  std::vector<Series> series;
  std::vector<Row> rows;
  std::optional<double> reference;  // a line through all rows
  bool legend = false;              // else labels say which series a point is
};

struct BarChart {
  struct Bar {
    Series series;
    double value = 0;
  };
  ChartText text;
  AxisSpec axis;
  std::vector<Bar> bars;
};

/// Lines through points, which can have intervals, or an envelope of what they are the mean of.
struct LineChart {
  struct Point {
    double x = 0, y = 0, low = 0, high = 0;
  };
  struct Line {
    Series series;
    std::vector<Point> points;  // in the order of x
    bool markers = false;
    bool connected = true;
    bool intervals = false;
    bool envelope = false;
  };
  struct Level {
    Series series;
    double value = 0;
  };
  ChartText text;
  AxisSpec x, y;
  std::vector<Line> lines;
  std::vector<Level> levels;     // lines from side to side
  std::vector<double> x_values;  // where not empty, the only ticks of x
};

struct ScatterChart {
  struct Point {
    double x = 0, y = 0;
  };
  struct Cloud {
    Series series;
    std::vector<Point> points;
    std::vector<Point> trend;  // a line, in the order of x
  };
  ChartText text;
  AxisSpec x, y;
  std::vector<Cloud> clouds;
};

/// A histogram a series, each a figure of its own, all on the same axes. The figures' captions are
/// the names of the series, and their ids that of the chart with a number.
struct HistogramChart {
  struct Panel {
    Series series;
    std::vector<double> values;
  };
  ChartText text;
  AxisSpec axis;
  std::vector<Panel> panels;  // each with values
  std::string counted;        // what there is a number of: "records"
};

Html draw(const IntervalChart& chart);
Html draw(const BarChart& chart);
Html draw(const LineChart& chart);
Html draw(const ScatterChart& chart);
std::vector<Html> draw(const HistogramChart& chart);

}  // namespace gist
