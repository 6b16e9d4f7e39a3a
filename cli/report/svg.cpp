#include "cli/report/svg.h"

#include <algorithm>

#include "core/utf8.h"
#include "formats/files/text.h"

namespace gist {
namespace {

std::string at(double x, double y) {
  return fmt::format("{:.4g} {:.4g}", x, y);
}

/// A path from corners around a point, in units of the radius.
std::string corners(Point2 centre, double radius, std::span<const Point2> offsets) {
  std::string path;
  for (const Point2& offset : offsets) {
    path +=
        (path.empty() ? "M" : "L") + at(centre.x + offset.x * radius, centre.y + offset.y * radius);
  }
  return path + "z";
}

std::string circle(Point2 centre, double radius) {
  return fmt::format("M{}a{r:.3g} {r:.3g} 0 1 0 {d:.3g} 0a{r:.3g} {r:.3g} 0 1 0 -{d:.3g} 0z",
                     at(centre.x - radius, centre.y), fmt::arg("r", radius),
                     fmt::arg("d", 2 * radius));
}

constexpr Point2 square[] = {{-0.9, -0.9}, {0.9, -0.9}, {0.9, 0.9}, {-0.9, 0.9}};
constexpr Point2 triangle[] = {{0, -1.2}, {1.15, 0.8}, {-1.15, 0.8}};
constexpr Point2 diamond[] = {{0, -1.3}, {1.1, 0}, {0, 1.3}, {-1.1, 0}};
constexpr Point2 triangle_down[] = {{0, 1.2}, {-1.15, -0.8}, {1.15, -0.8}};
constexpr Point2 cross[] = {{0, -0.5},   {0.7, -1.2}, {1.2, -0.7},  {0.5, 0},
                            {1.2, 0.7},  {0.7, 1.2},  {0, 0.5},     {-0.7, 1.2},
                            {-1.2, 0.7}, {-0.5, 0},   {-1.2, -0.7}, {-0.7, -1.2}};
constexpr Point2 bar[] = {{-1.4, -0.6}, {1.4, -0.6}, {1.4, 0.6}, {-1.4, 0.6}};
constexpr Point2 plus[] = {{-0.45, -1.3}, {0.45, -1.3}, {0.45, -0.45}, {1.3, -0.45},
                           {1.3, 0.45},   {0.45, 0.45}, {0.45, 1.3},   {-0.45, 1.3},
                           {-0.45, 0.45}, {-1.3, 0.45}, {-1.3, -0.45}, {-0.45, -0.45}};

}  // namespace

std::string style_class(std::size_t style) {
  return fmt::format("s{}", style % styles);
}

std::string marker_path(std::size_t style, Point2 at, double radius) {
  switch (style % styles) {
    case 1:
      return corners(at, radius, square);
    case 2:
      return corners(at, radius, triangle);
    case 3:
      return corners(at, radius, diamond);
    case 4:
      return corners(at, radius, triangle_down);
    case 5:
      return corners(at, radius, cross);
    case 6:
      return corners(at, radius, bar);
    case 7:
      return corners(at, radius, plus);
    default:
      return circle(at, radius);
  }
}

std::string polyline_path(std::span<const Point2> points) {
  std::string path;
  for (const Point2& point : points) path += (path.empty() ? "M" : "L") + at(point.x, point.y);
  return path;
}

Html svg_text(Point2 at, std::string_view kind, std::string_view text, std::string_view classes) {
  return html("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" class=\"{}\">{}</text>", at.x,
              at.y, kind, classes, text);
}

Html svg_line(Point2 from, Point2 to, std::string_view classes) {
  return html("<line x1=\"{:.1f}\" y1=\"{:.1f}\" x2=\"{:.1f}\" y2=\"{:.1f}\" class=\"{}\"/>",
              from.x, from.y, to.x, to.y, classes);
}

Html svg_path(const std::string& path, std::string_view classes) {
  return html("<path d=\"{}\" class=\"{}\"/>", path, classes);
}

double text_width(std::string_view text) {
  return static_cast<double>(characters_in(text)) * character_width;
}

std::string fitted(const std::string& text, double width) {
  const auto room = static_cast<std::size_t>(std::max(width / character_width, 4.0));
  if (shortened(text, room) == text) return text;
  const std::size_t head = room / 2;
  std::string begin = shortened(text, head);  // with its "…"
  std::size_t tail = text.size();
  for (std::size_t characters = 0; characters + head + 1 < room && tail > 0; ++characters) {
    do --tail;
    while (tail > 0 && !begins_character(text[tail]));
  }
  return begin + text.substr(tail);
}

Html x_axis(const Axis& axis, const AxisSpec& spec, double top, double bottom) {
  Html parts{"<g class=\"axis\">"};
  for (const Tick& tick : axis.ticks()) {
    const double x = axis.at(tick.value);
    const double half = text_width(tick.text) / 2 + 2;  // the text stays in the drawing
    parts += svg_line({x, top}, {x, bottom}, "grid");
    parts += svg_text({std::clamp(x, half, chart_width - half), bottom + 18}, "middle", tick.text);
  }
  const double middle = (axis.begin() + axis.end()) / 2;
  parts += svg_text({middle, bottom + 34}, "middle", spec.label, "name");
  return parts + Html{"</g>"};
}

Html y_axis(const Axis& axis, const AxisSpec& spec, double left, double right) {
  Html parts{"<g class=\"axis\">"};
  for (const Tick& tick : axis.ticks()) {
    const double y = axis.at(tick.value);
    parts += svg_line({left, y}, {right, y}, "grid");
    parts += svg_text({left - 6, y + 4}, "end", tick.text);
  }
  parts += svg_text({2, axis.end() - 12}, "start", spec.label, "name");
  return parts + Html{"</g>"};
}

Html figure(const ChartText& text, const std::vector<Series>& legend, double height,
            const Html& drawing) {
  Html key;
  if (!legend.empty()) {
    key = Html{"<ul class=\"legend\">"};
    for (const Series& each : legend) {
      key += html("<li>{}<span>{}</span></li>", marker(each.style), each.name);
    }
    key += Html{"</ul>"};
  }
  return html(
      "<figure id=\"{0}\" class=\"chart\"><figcaption>{1}</figcaption>{2}"
      "<svg viewBox=\"0 0 {3} {4:.0f}\" role=\"img\" aria-labelledby=\"{0}-title "
      "{0}-description\"><title id=\"{0}-title\">{1}</title><desc "
      "id=\"{0}-description\">{5}</desc>{6}</svg></figure>\n",
      text.id, text.caption, key, chart_width, height, text.description, drawing);
}

Html marker(std::size_t style) {
  return html(
      "<svg class=\"marker\" viewBox=\"0 0 12 12\" aria-hidden=\"true\" "
      "focusable=\"false\">{}</svg>",
      svg_path(marker_path(style, {6, 6}), "mark " + style_class(style)));
}

}  // namespace gist
