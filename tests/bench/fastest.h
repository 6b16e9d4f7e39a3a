#pragma once

#include <algorithm>
#include <chrono>

namespace gist::bench {

/// Seconds of the fastest of several runs.
template <typename Run>
double fastest(Run run) {
  double best = 1e30;
  for (int i = 0; i < 7; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    best = std::min(best, seconds.count());
  }
  return best;
}

}  // namespace gist::bench
