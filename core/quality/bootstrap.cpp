#include "core/quality/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>

#include "core/random.h"
#include "kernels/error.h"
#include "kernels/philox.h"

namespace gist {
namespace {

using Columns = std::span<const std::span<const double>>;  // [columns][records]

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

void check(Columns columns, const BootstrapOptions& options) {
  if (!(options.confidence >= 0 && options.confidence <= 1)) {
    fail(ErrorKind::usage, "a confidence of {}: it is from 0 to 1", options.confidence);
  }
  if (options.resamples == 0) fail(ErrorKind::usage, "0 resamples: at least 1 is needed");
  for (const std::span<const double> column : columns) {
    const std::size_t records = columns.front().size();
    if (column.size() != records || records == 0 ||
        records > std::numeric_limits<std::uint32_t>::max()) {
      fail(ErrorKind::internal, "bootstrap of {} records beside {}", column.size(), records);
    }
  }
}

/// Calls visit(record) for each record that a resample draws. (Scaling a word to n records prefers
/// some by one part in 2^32 / n.)
template <typename Visit>
void draw(std::uint64_t seed, std::uint32_t resample, std::size_t records, Visit visit) {
  constexpr std::size_t words_a_draw = 4;
  constexpr auto use = static_cast<std::uint32_t>(RandomUse::bootstrap);
  for (std::size_t i = 0; i < records; i += words_a_draw) {
    const std::array<std::uint32_t, words_a_draw> words =
        philox_words(seed, {resample, 0, static_cast<std::uint32_t>(i / words_a_draw), use});
    for (std::size_t k = 0; k < std::min(words_a_draw, records - i); ++k) {
      visit(static_cast<std::size_t>(std::uint64_t{words[k]} * records >> 32));
    }
  }
}

/// Sums of each column: over the records, then over the records of each resample.
struct Sums {
  std::size_t columns;
  std::vector<double> records;    // [columns]
  std::vector<double> resampled;  // [resamples, columns]

  std::span<const double> resample(std::size_t r) const {
    return std::span(resampled).subspan(r * columns, columns);
  }
};

Sums resample(Columns columns, const BootstrapOptions& options) {
  check(columns, options);
  const std::size_t n = columns.size();
  Sums sums{n, std::vector<double>(n), std::vector<double>(n * options.resamples)};
  const auto add = [columns](std::size_t record, double* sum) {
    for (const std::span<const double> column : columns) *sum++ += column[record];
  };
  const std::size_t records = columns.front().size();
  for (std::size_t i = 0; i < records; ++i) add(i, sums.records.data());
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    double* sum = sums.resampled.data() + r * n;
    draw(options.seed, r, records, [&](std::size_t record) { add(record, sum); });
  }
  return sums;
}

double share_not_above_zero(std::span<const double> sorted) {
  const auto above = std::upper_bound(sorted.begin(), sorted.end(), 0.0);
  return static_cast<double>(above - sorted.begin()) / static_cast<double>(sorted.size());
}

/// Of a statistic: a function of the columns' sums that gives an optional double.
template <typename Statistic>
Difference summary_of(const Sums& sums, const BootstrapOptions& options, Statistic statistic) {
  std::vector<double> values;
  values.reserve(options.resamples);
  for (std::uint32_t r = 0; r < options.resamples; ++r) {
    if (const std::optional<double> value = statistic(sums.resample(r))) values.push_back(*value);
  }
  Difference summary{{statistic(sums.records).value_or(nan), nan, nan, nan,
                      options.resamples - static_cast<std::uint32_t>(values.size())},
                     nan};
  const auto is_nan = [](double value) { return std::isnan(value); };
  if (values.empty() || std::any_of(values.begin(), values.end(), is_nan)) return summary;

  std::sort(values.begin(), values.end());
  const double tail = (1 - options.confidence) / 2;
  summary.interval.low = quantile(values, tail);
  summary.interval.mid = quantile(values, 0.5);
  summary.interval.high = quantile(values, 1 - tail);
  summary.share_not_above_zero = share_not_above_zero(values);
  return summary;
}

auto mean_of(std::size_t column, std::size_t records) {
  return [column, n = static_cast<double>(records)](std::span<const double> sums) {
    return std::optional(sums[column] / n);
  };
}

std::optional<double> ratio_of(double sum, double weight) {
  return weight == 0 ? std::nullopt : std::optional(sum / weight);
}

}  // namespace

std::vector<Interval> bootstrap_means(std::span<const std::span<const double>> measures,
                                      const BootstrapOptions& options) {
  std::vector<Interval> intervals;
  if (measures.empty()) return intervals;
  const Sums sums = resample(measures, options);
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const auto mean = mean_of(m, measures[m].size());
    intervals.push_back(summary_of(sums, options, mean).interval);
  }
  return intervals;
}

Interval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  return bootstrap_means({&values, 1}, options).front();
}

Interval bootstrap_ratio(const RatioOfSums& ratio, const BootstrapOptions& options) {
  const std::span<const double> columns[] = {ratio.sums, ratio.weights};
  const auto value = [](std::span<const double> of) { return ratio_of(of[0], of[1]); };
  return summary_of(resample(columns, options), options, value).interval;
}

Difference bootstrap_mean_difference(std::span<const double> a, std::span<const double> b,
                                     const BootstrapOptions& options) {
  const std::span<const double> systems[] = {a, b};
  check(systems, options);
  // Of single records, so that what cancels does so exactly.
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  const std::span<const double> columns[] = {differences};
  return summary_of(resample(columns, options), options, mean_of(0, a.size()));
}

Difference bootstrap_ratio_difference(const RatioOfSums& a, const RatioOfSums& b,
                                      const BootstrapOptions& options) {
  const std::span<const double> columns[] = {a.sums, a.weights, b.sums, b.weights};
  const auto value = [](std::span<const double> of) -> std::optional<double> {
    const auto left = ratio_of(of[0], of[1]);
    const auto right = ratio_of(of[2], of[3]);
    if (!left || !right) return std::nullopt;
    return *left - *right;
  };
  return summary_of(resample(columns, options), options, value);
}

double quantile(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double low = sorted[below];
  const double high = sorted[std::min(below + 1, sorted.size() - 1)];
  const double part = place - static_cast<double>(below);
  // From the nearer end, so that both are met exactly.
  return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
}

}  // namespace gist
