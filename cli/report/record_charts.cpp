#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cli/report/evaluation_parts.h"

namespace gist {
namespace {

using Dot = ScatterChart::Point;

constexpr std::size_t trend_bins = 8;
constexpr double least_divergence = 1e-6;  // less is as good as nothing

constexpr double unknown = std::numeric_limits<double>::quiet_NaN();

/// Returns how many times more bytes the reference keeps of a record's prompt.
double compression(const EvaluationView& view, std::size_t system, std::size_t record) {
  const auto kept = [&](std::size_t each) {
    return static_cast<double>(view.evaluation.systems[each].records[record].kept_bytes);
  };
  const double reference = kept(view.evaluation.reference_system), own = kept(system);
  return reference > 0 && own > 0 ? reference / own : unknown;
}

double divergence(const RecordResult& result) {
  return result.fidelity.labels > 0 ? result.fidelity.per_label() : unknown;
}

double loss(const RecordResult& result) {
  return result.loss.labels > 0 ? result.loss.sum / result.loss.labels : unknown;
}

/// Means of neighbours in x, so many points in each.
std::vector<Dot> trend_of(std::vector<Dot> points) {
  if (points.size() < 4 * trend_bins) return {};
  std::stable_sort(points.begin(), points.end(),
                   [](const Dot& a, const Dot& b) { return a.x < b.x; });
  std::vector<Dot> trend;
  for (std::size_t bin = 0; bin < trend_bins; ++bin) {
    const std::size_t begin = points.size() * bin / trend_bins;
    const std::size_t end = points.size() * (bin + 1) / trend_bins;
    Dot mean;
    for (std::size_t i = begin; i < end; ++i) {
      mean.x += points[i].x / static_cast<double>(end - begin);
      mean.y += points[i].y / static_cast<double>(end - begin);
    }
    if (trend.empty() || mean.x > trend.back().x) trend.push_back(mean);
  }
  return trend;
}

/// Every n-th, so that no more than so many are left.
std::vector<Dot> thinned(const std::vector<Dot>& points, std::size_t most) {
  const std::size_t step = (points.size() + most - 1) / std::max<std::size_t>(most, 1);
  std::vector<Dot> kept;
  for (std::size_t i = 0; i < points.size(); i += std::max<std::size_t>(step, 1)) {
    kept.push_back(points[i]);
  }
  return kept;
}

/// A cloud a system, of the records for which both values are known.
template <class X, class Y>
std::vector<ScatterChart::Cloud> clouds(const EvaluationView& view, const X& x_of, const Y& y_of,
                                        bool with_trend) {
  std::vector<ScatterChart::Cloud> found;
  for (std::size_t i = 0; i < view.systems(); ++i) {
    if (view.is_reference(i)) continue;
    ScatterChart::Cloud cloud{{view.name(i), i}, {}, {}};
    for (std::size_t record = 0; record < view.evaluation.records.size(); ++record) {
      const double x = x_of(i, record), y = y_of(i, record);
      if (std::isfinite(x) && std::isfinite(y)) cloud.points.push_back({x, y});
    }
    if (cloud.points.empty()) continue;
    if (with_trend) cloud.trend = trend_of(cloud.points);
    found.push_back(std::move(cloud));
  }
  return found;
}

/// Says how many points are left out, if any are.
std::string bound(ScatterChart& chart) {
  const std::size_t most = most_points / std::max<std::size_t>(chart.clouds.size(), 1);
  std::size_t all = 0, kept = 0;
  for (ScatterChart::Cloud& cloud : chart.clouds) {
    all += cloud.points.size();
    cloud.points = thinned(cloud.points, most);
    kept += cloud.points.size();
  }
  return kept == all ? "" : fmt::format(" {} of {} points are drawn.", kept, all);
}

Html length_chart(const EvaluationView& view) {
  ScatterChart chart;
  chart.text = {"compression-length", "Compression against a prompt's length", ""};
  chart.x = {"tokens that " + view.reference_name() + " reads", Quantity::count};
  chart.y = {"times fewer bytes stored (log scale)", Quantity::number, true};
  chart.clouds = clouds(
      view,
      [&](std::size_t, std::size_t record) {
        return static_cast<double>(view.evaluation.systems[view.evaluation.reference_system]
                                       .records[record]
                                       .prompt_tokens);
      },
      [&](std::size_t system, std::size_t record) { return compression(view, system, record); },
      false);
  if (chart.clouds.empty()) return {};
  chart.text.description =
      "A point a record: how many tokens the reference reads for it, and how many times more bytes "
      "of "
      "keys and values it keeps of the prompt." +
      bound(chart);
  return draw(chart);
}

Html price_chart(const EvaluationView& view) {
  const auto& systems = view.evaluation.systems;
  const bool has_fidelity = std::any_of(systems.begin(), systems.end(), [](const auto& system) {
    return std::any_of(system.records.begin(), system.records.end(),
                       [](const RecordResult& result) { return result.fidelity.labels > 0; });
  });
  ScatterChart chart;
  chart.x = {"times fewer bytes stored (log scale)", Quantity::number, true};
  const auto factor = [&](std::size_t system, std::size_t record) {
    return compression(view, system, record);
  };
  if (has_fidelity) {
    chart.text = {"compression-price", "KL divergence against compression", ""};
    chart.y = {"KL divergence, nats a token (log scale)", Quantity::number, true};
    chart.clouds = clouds(
        view, factor,
        [&](std::size_t system, std::size_t record) {
          const double value = divergence(systems[system].records[record]);
          return std::isnan(value) ? value : std::max(value, least_divergence);
        },
        true);
  } else {
    chart.text = {"compression-price", "Loss against compression", ""};
    chart.y = {"loss less that of " + view.reference_name() + ", nats a token", Quantity::number};
    chart.clouds = clouds(
        view, factor,
        [&](std::size_t system, std::size_t record) {
          return loss(systems[system].records[record]) -
                 loss(systems[view.evaluation.reference_system].records[record]);
        },
        true);
  }
  if (chart.clouds.empty()) return {};
  chart.text.description =
      "A point a record: how much it is compressed, and how far its answer is from the reference "
      "system's. The line joins means of an eighth of the records each." +
      bound(chart);
  return draw(chart);
}

}  // namespace

std::vector<Html> compression_charts(const EvaluationView& view) {
  std::vector<Html> charts;
  for (Html& chart : std::vector<Html>{length_chart(view), price_chart(view)}) {
    if (!chart.empty()) charts.push_back(std::move(chart));
  }
  return charts;
}

std::vector<Html> fidelity_charts(const EvaluationView& view) {
  HistogramChart chart;
  chart.counted = "records";
  chart.text = {
      "fidelity-divergence", "",
      "A histogram: how many records have answers whose next-token distributions "
      "differ so much from the reference system's. The broken line is the median. Less than "
      "1e-6 counts as that."};
  chart.axis = {"KL divergence, nats a token (log scale)", Quantity::number, true};
  for (std::size_t i = 0; i < view.systems(); ++i) {
    HistogramChart::Panel panel{{view.name(i), i}, {}};
    for (const RecordResult& result : view.evaluation.systems[i].records) {
      const double value = divergence(result);
      if (std::isfinite(value)) panel.values.push_back(std::max(value, least_divergence));
    }
    if (!panel.values.empty()) chart.panels.push_back(std::move(panel));
  }
  return draw(chart);
}

}  // namespace gist
