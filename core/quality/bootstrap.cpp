#include "core/quality/bootstrap.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

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
  if (options.threads < 1) fail(ErrorKind::internal, "{} threads for a bootstrap", options.threads);
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

/// body(begin, end) over runs that cover [0, n), each but the first on a thread of its own. What a
/// thread that can't be started would do, the calling one does.
template <typename Body>
void in_parallel(int threads, std::uint32_t n, const Body& body) {
  const auto begin_of = [&](int run) {
    return static_cast<std::uint32_t>(std::uint64_t{n} * static_cast<std::uint64_t>(run) /
                                      static_cast<std::uint64_t>(threads));
  };
  std::vector<std::jthread> others;
  others.reserve(static_cast<std::size_t>(threads));
  int run = 1;
  try {
    for (; run < threads; ++run) {
      others.emplace_back(
          [&body, begin = begin_of(run), end = begin_of(run + 1)] { body(begin, end); });
    }
  } catch (const std::system_error&) {
    body(begin_of(run), n);
  }
  body(0, begin_of(1));
}

Sums resample(Columns columns, const BootstrapOptions& options) {
  check(columns, options);
  const std::size_t n = columns.size();
  const std::size_t records = columns.front().size();
  // A record's values side by side: what is drawn lies anywhere in memory.
  std::vector<double> rows(records * n);
  for (std::size_t c = 0; c < n; ++c) {
    for (std::size_t i = 0; i < records; ++i) rows[i * n + c] = columns[c][i];
  }
  Sums sums{n, std::vector<double>(n), std::vector<double>(n * options.resamples)};
  const auto add = [&](std::size_t record, double* sum) {
    const double* row = &rows[record * n];
    for (std::size_t c = 0; c < n; ++c) sum[c] += row[c];
  };
  for (std::size_t i = 0; i < records; ++i) add(i, sums.records.data());
  const auto resample_some = [&](std::uint32_t begin, std::uint32_t end) {
    for (std::uint32_t r = begin; r < end; ++r) {
      double* sum = sums.resampled.data() + r * n;
      draw(options.seed, r, records, [&](std::size_t record) { add(record, sum); });
    }
  };
  constexpr std::uint64_t draws_of_a_thread = 200'000;  // about a millisecond
  const std::uint64_t fed = std::uint64_t{options.resamples} * records / draws_of_a_thread;
  in_parallel(static_cast<int>(
                  std::min<std::uint64_t>(static_cast<std::uint64_t>(options.threads), fed + 1)),
              options.resamples, resample_some);
  return sums;
}

double two_sided_p(std::span<const double> sorted) {
  const auto not_below = std::lower_bound(sorted.begin(), sorted.end(), 0.0);
  const auto above = std::upper_bound(not_below, sorted.end(), 0.0);
  const auto rarer = std::min(above - sorted.begin(), sorted.end() - not_below);
  return std::min(1.0,
                  2 * static_cast<double>(rarer + 1) / (static_cast<double>(sorted.size()) + 1));
}

/// Summarises a statistic: a function of the columns' sums that gives an optional double.
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
  summary.p = two_sided_p(values);
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

/// The columns of several ratios, to be resampled together.
class RatioColumns {
 public:
  explicit RatioColumns(std::span<const RatioOfSums> ratios) {
    for (const RatioOfSums& ratio : ratios) {
      places_.push_back(columns_.size());
      columns_.push_back(ratio.sums);
      const bool weighted = !ratio.weights.empty();
      if (weighted) columns_.push_back(ratio.weights);
      weighted_.push_back(weighted);
      records_ = static_cast<double>(ratio.sums.size());
    }
  }

  Columns all() const { return columns_; }
  /// The value of ratio `i`, from the columns' sums.
  std::optional<double> value(std::size_t i, std::span<const double> sums) const {
    const std::size_t at = places_[i];
    return ratio_of(sums[at], weighted_[i] ? sums[at + 1] : records_);
  }

 private:
  std::vector<std::span<const double>> columns_;
  std::vector<std::size_t> places_;
  std::vector<bool> weighted_;
  double records_ = 0;
};

}  // namespace

std::vector<ConfidenceInterval> bootstrap_means(std::span<const std::span<const double>> measures,
                                                const BootstrapOptions& options) {
  std::vector<ConfidenceInterval> intervals;
  if (measures.empty()) return intervals;
  const Sums sums = resample(measures, options);
  for (std::size_t m = 0; m < measures.size(); ++m) {
    const auto mean = mean_of(m, measures[m].size());
    intervals.push_back(summary_of(sums, options, mean).interval);
  }
  return intervals;
}

ConfidenceInterval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options) {
  return bootstrap_means({&values, 1}, options).front();
}

std::vector<ConfidenceInterval> bootstrap_ratios(std::span<const RatioOfSums> ratios,
                                                 const BootstrapOptions& options) {
  std::vector<ConfidenceInterval> intervals;
  if (ratios.empty()) return intervals;
  const RatioColumns columns(ratios);
  const Sums sums = resample(columns.all(), options);
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const auto value = [&](std::span<const double> of) { return columns.value(i, of); };
    intervals.push_back(summary_of(sums, options, value).interval);
  }
  return intervals;
}

ConfidenceInterval bootstrap_ratio(const RatioOfSums& ratio, const BootstrapOptions& options) {
  return bootstrap_ratios({&ratio, 1}, options).front();
}

Difference bootstrap_mean_difference(std::span<const double> a, std::span<const double> b,
                                     const BootstrapOptions& options) {
  const std::span<const double> systems[] = {a, b};
  check(systems, options);
  // Differences of single records are taken first, so that what cancels does so exactly.
  std::vector<double> differences(a.size());
  std::transform(a.begin(), a.end(), b.begin(), differences.begin(), std::minus<>());
  const std::span<const double> columns[] = {differences};
  return summary_of(resample(columns, options), options, mean_of(0, a.size()));
}

std::vector<Difference> bootstrap_ratio_differences(std::span<const RatioOfSums> a,
                                                    std::span<const RatioOfSums> b,
                                                    const BootstrapOptions& options) {
  if (a.size() != b.size()) {
    fail(ErrorKind::internal, "bootstrap of {} ratios beside {}", a.size(), b.size());
  }
  std::vector<Difference> differences;
  if (a.empty()) return differences;
  std::vector<RatioOfSums> both(a.begin(), a.end());
  both.insert(both.end(), b.begin(), b.end());
  const RatioColumns columns(both);
  const Sums sums = resample(columns.all(), options);
  for (std::size_t i = 0; i < a.size(); ++i) {
    const auto value = [&](std::span<const double> of) -> std::optional<double> {
      const auto left = columns.value(i, of), right = columns.value(a.size() + i, of);
      if (!left || !right) return std::nullopt;
      return *left - *right;
    };
    differences.push_back(summary_of(sums, options, value));
  }
  return differences;
}

Difference bootstrap_ratio_difference(const RatioOfSums& a, const RatioOfSums& b,
                                      const BootstrapOptions& options) {
  return bootstrap_ratio_differences({&a, 1}, {&b, 1}, options).front();
}

double quantile(std::span<const double> sorted, double q) {
  const double place = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(place);
  const double low = sorted[below];
  const double high = sorted[std::min(below + 1, sorted.size() - 1)];
  const double part = place - static_cast<double>(below);
  // It is computed from the nearer end, so that both ends are met exactly.
  return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
}

}  // namespace gist
