#include "core/quality/wilson_interval.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace gist {
namespace {

/// Returns how many standard deviations around its mean hold this share of a normal distribution:
/// the z with erf(z / sqrt(2)) = confidence, by bisection.
double deviations(double confidence) {
  if (confidence >= 1) return std::numeric_limits<double>::infinity();
  double low = 0, high = 9;  // erf(9 / sqrt(2)) is 1 in f64
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (std::erf(middle / std::sqrt(2.0)) < confidence ? low : high) = middle;
  }
  return (low + high) / 2;
}

}  // namespace

ShareInterval wilson_interval(double share, std::uint64_t records, double confidence) {
  const double z = deviations(confidence);
  if (records == 0 || std::isinf(z)) return {};
  const auto n = static_cast<double>(records);
  const double weight = z * z / n;  // of the centre 1/2, beside that of the share, 1
  const double centre = (share + weight / 2) / (1 + weight);
  const double half = z / (1 + weight) * std::sqrt(share * (1 - share) / n + weight / (4 * n));
  // Rounding leaves 1e-17 where an end is 0.
  return {share == 0 ? 0 : std::max(0.0, centre - half),
          share == 1 ? 1 : std::min(1.0, centre + half)};
}

}  // namespace gist
