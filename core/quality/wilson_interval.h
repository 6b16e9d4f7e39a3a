// Confidence interval of a share, of records that are right or wrong each (E. B. Wilson 1927,
// "Probable inference, the law of succession, and statistical inference"). Resamples of records
// that are all right are all right, so that percentiles say nothing there: this interval never
// shrinks to a point, and never reaches below 0 or above 1.
#pragma once

#include <cstdint>

namespace gist {

struct ShareInterval {
  double low = 0;
  double high = 1;
};

/// `share` from 0 to 1, of `records` (of none: 0 to 1); `confidence` from 0 to 1. Where a record
/// may also count a half, as a tie does, the interval is at least as wide as it must be.
ShareInterval wilson_interval(double share, std::uint64_t records, double confidence);

}  // namespace gist
