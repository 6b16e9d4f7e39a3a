#include "cli/report/training_metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "formats/files/json_text.h"

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

bool read(const nlohmann::json& line, const char* name, std::string& text) {
  const auto value = line.find(name);
  if (value == line.end() || !value->is_string()) return false;
  text = value->get<std::string>();
  return true;
}

/// The sample with these texts; a run that goes on may have other held-out records than before.
TrainingSample& sample_of(const TrainingSample& record, std::vector<TrainingSample>& samples) {
  const auto found = std::find_if(samples.begin(), samples.end(), [&](const TrainingSample& each) {
    return each.ordinal == record.ordinal && each.instruction == record.instruction &&
           each.input == record.input && each.reference_answer == record.reference_answer;
  });
  return found == samples.end() ? samples.emplace_back(record) : *found;
}

void add_sample(const nlohmann::json& entry, std::int64_t step,
                std::vector<TrainingSample>& samples) {
  TrainingSample record;
  SampleAnswer answer{step, {}, 0, true};
  std::string reason;
  if (!entry.is_object() || !read(entry, "ordinal", record.ordinal) ||
      !read(entry, "instruction", record.instruction) || !read(entry, "input", record.input) ||
      !read(entry, "reference", record.reference_answer) ||
      !read(entry, "completion", answer.completion) || !read(entry, "finish_reason", reason) ||
      !read(entry, "completion_tokens", answer.tokens)) {
    return;
  }
  answer.ended = reason == "eos";
  sample_of(record, samples).answers.push_back(std::move(answer));
}

void add(const nlohmann::json& line, TrainingMetrics& metrics) {
  HeldOutLoss held_out;
  if (read(line, "step", held_out.step) && read(line, "eval_loss", held_out.loss)) {
    metrics.held_out.push_back(held_out);
  }
  TrainingStep step;
  const auto samples = line.find("samples");
  if (samples != line.end() && samples->is_array() && read(line, "step", step.step)) {
    for (const nlohmann::json& each : *samples) add_sample(each, step.step, metrics.samples);
  }
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
    const auto line = json_in(lines.substr(0, end)).value_or(nullptr);
    if (line.is_object()) add(line, metrics);
    lines.remove_prefix(std::min(end + 1, lines.size()));
  }
  return metrics;
}

const HeldOutLoss* lowest(const std::vector<HeldOutLoss>& losses) {
  const auto found =
      std::min_element(losses.begin(), losses.end(),
                       [](const HeldOutLoss& a, const HeldOutLoss& b) { return a.loss < b.loss; });
  return found == losses.end() ? nullptr : &*found;
}

double tokens_per_second(const TrainingStep& step) {
  return static_cast<double>(step.tokens) / std::max(step.seconds, 1e-9);
}

TrainingTotals totals_of(const TrainingMetrics& metrics) {
  TrainingTotals totals;
  std::vector<double> speeds;
  for (const TrainingStep& step : metrics.steps) {
    totals.tokens += step.tokens;
    totals.seconds += step.seconds;
    speeds.push_back(tokens_per_second(step));
  }
  const auto middle = speeds.begin() + static_cast<std::ptrdiff_t>(speeds.size() / 2);
  std::nth_element(speeds.begin(), middle, speeds.end());
  totals.tokens_per_second = *middle;
  return totals;
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

std::vector<LineChart::Point> smoothed(const std::vector<LineChart::Point>& points,
                                       std::size_t half) {
  std::vector<LineChart::Point> result = points;
  std::vector<double> sums{0};  // of the first 0, 1, ... points
  for (const LineChart::Point& point : points) sums.push_back(sums.back() + point.y);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const std::size_t begin = i - std::min(i, half), end = std::min(i + half + 1, points.size());
    const double mean = (sums[end] - sums[begin]) / static_cast<double>(end - begin);
    result[i].y = result[i].low = result[i].high = mean;
  }
  return result;
}

}  // namespace gist
