#include "cli/report/training_metrics.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace gist {
namespace {

/// Sets a number that the line has; false where it hasn't.
template <class Number>
bool read(const nlohmann::json& line, const char* name, Number& number) {
  const auto value = line.find(name);
  if (value == line.end() || !value->is_number()) return false;
  number = value->get<Number>();
  return true;
}

void add(const nlohmann::json& line, TrainingMetrics& metrics) {
  HeldOutLoss held_out;
  if (read(line, "step", held_out.step) && read(line, "eval_loss", held_out.loss)) {
    metrics.held_out.push_back(held_out);
  }
  TrainingStep step;
  if (read(line, "step", step.step) && read(line, "loss", step.loss) &&
      read(line, "lr", step.learning_rate) && read(line, "grad_norm", step.gradient_norm) &&
      read(line, "tokens", step.tokens) && read(line, "labels", step.labels) &&
      read(line, "seconds", step.seconds)) {
    metrics.steps.push_back(step);
  }
}

}  // namespace

TrainingMetrics parse_training_metrics(std::string_view lines) {
  TrainingMetrics metrics;
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const auto line = nlohmann::json::parse(lines.substr(0, end), nullptr, false);
    if (line.is_object()) add(line, metrics);
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return metrics;
}

std::vector<LineChart::Point> thinned(const std::vector<LineChart::Point>& points,
                                      std::size_t most) {
  if (points.size() <= most) return points;
  const double first = points.front().x;
  const double width = (points.back().x - first) / static_cast<double>(most);
  std::vector<LineChart::Point> kept;
  for (std::size_t begin = 0; begin < points.size();) {
    const double stretch = std::floor((points[begin].x - first) / width);
    LineChart::Point mean{0, 0, points[begin].y, points[begin].y};
    std::size_t end = begin;
    for (; end < points.size() && (end == begin || points[end].x < first + (stretch + 1) * width);
         ++end) {
      mean.x += points[end].x;
      mean.y += points[end].y;
      mean.low = std::min(mean.low, points[end].y);
      mean.high = std::max(mean.high, points[end].y);
    }
    mean.x /= static_cast<double>(end - begin);
    mean.y /= static_cast<double>(end - begin);
    kept.push_back(mean);
    begin = end;
  }
  return kept;
}

}  // namespace gist
