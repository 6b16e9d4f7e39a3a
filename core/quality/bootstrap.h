// Confidence intervals by resampling records (B. Efron 1979, "Bootstrap methods"): a resample draws
// as many records as there are, with replacement; an interval's ends are percentiles of the
// statistic over the resamples.
//
// rouge_score's BootstrapAggregator (scoring.py) does the same for means. It draws from numpy's
// global generator, this from a counter (kernels/philox.h), so that results depend on the seed
// alone: the two agree in distribution, not draw for draw.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gist {

struct BootstrapOptions {
  double confidence = 0.95;        // 0 to 1
  std::uint32_t resamples = 1000;  // at least 1
  std::uint64_t seed = 0;
  int threads = 1;  // results don't depend on it
};

struct ConfidenceInterval {
  double value = 0;            // of the records themselves
  double low = 0;              // the (1 - confidence) / 2 quantile over the resamples
  double mid = 0;              // their median
  double high = 0;             // the (1 + confidence) / 2 quantile
  std::uint32_t left_out = 0;  // resamples without any weight, in which a ratio is undefined
};

/// A system's value less another's, on the same records.
struct Difference {
  ConfidenceInterval interval;
  /// Two-sided: how likely a difference this far from zero is where there is none. Twice the share
  /// of resamples on the rarer side of zero, zero itself on both; the records themselves count as
  /// one resample more, so that p is at least 2 / (resamples + 1) (Davison and Hinkley 1997,
  /// 4.2.3).
  double p = 0;
};

/// A ratio of sums over records, for instance loss over label tokens.
struct RatioOfSums {
  std::span<const double> sums;     // [records]
  std::span<const double> weights;  // [records] at least 0; empty: each is 1
};

// All of them draw the same records for the same seed and number of records: so the intervals of
// several measures come from the same resamples. A NaN among the resamples' statistics makes the
// ends NaN, as in numpy; so does a ratio without weight in all of them. Errors: Error(usage) where
// an option is out of range, Error(internal) where there are no records or lengths differ.

/// The mean of each measure, given as [measures][records].
std::vector<ConfidenceInterval> bootstrap_means(std::span<const std::span<const double>> measures,
                                                const BootstrapOptions& options);
ConfidenceInterval bootstrap_mean(std::span<const double> values, const BootstrapOptions& options);
/// Each ratio, from the same resamples, which are drawn once.
std::vector<ConfidenceInterval> bootstrap_ratios(std::span<const RatioOfSums> ratios,
                                                 const BootstrapOptions& options);
ConfidenceInterval bootstrap_ratio(const RatioOfSums& ratio, const BootstrapOptions& options);

/// The paired bootstrap: a - b, of means or of ratios.
Difference bootstrap_mean_difference(std::span<const double> a, std::span<const double> b,
                                     const BootstrapOptions& options);
/// The difference of each a[i] - b[i], likewise.
std::vector<Difference> bootstrap_ratio_differences(std::span<const RatioOfSums> a,
                                                    std::span<const RatioOfSums> b,
                                                    const BootstrapOptions& options);
Difference bootstrap_ratio_difference(const RatioOfSums& a, const RatioOfSums& b,
                                      const BootstrapOptions& options);

/// The quantile 0 <= q <= 1 of values in ascending order, at least one, between neighbours as
/// numpy.quantile(method="linear") interpolates.
double quantile(std::span<const double> sorted, double q);

}  // namespace gist
