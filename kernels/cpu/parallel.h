// Loops over the backend's threads. Bodies must not throw: reserve memory and check data before.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/thread_pool.h"

namespace gist::cpu {

/// body(begin, end) over disjoint ranges that cover [0, n). A thread takes part only where it gets
/// `grain` or more; ranges follow from n, grain and the number of threads alone, and are smaller
/// than a thread's part, so that one that is late costs little.
template <typename Body>
void parallel_ranges(ThreadPool& threads, std::int64_t n, std::int64_t grain, Body&& body) {
  constexpr std::int64_t ranges_a_thread = 4;
  const std::int64_t grains = n / grain;
  const auto fed = static_cast<int>(std::min<std::int64_t>(threads.count(), grains));
  if (fed <= 1) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
  const std::int64_t ranges = std::min(grains, fed * ranges_a_thread);
  threads.run(ranges, fed,
              [&](std::int64_t range, int) { body(n * range / ranges, n * (range + 1) / ranges); });
}

/// How many threads so much work of one thread feeds: each takes some time to get going.
inline int threads_fed(const ThreadPool& threads, double nanoseconds) {
  constexpr double least = 5000;  // of a thread
  return static_cast<int>(std::clamp(nanoseconds / least, 1.0, double(threads.count())));
}

/// body(item, thread) for each item of [0, n), in no fixed order, of which all together take one
/// thread about so long.
template <typename Body>
void parallel_items(ThreadPool& threads, std::int64_t n, double nanoseconds, Body&& body) {
  threads.run(n, threads_fed(threads, nanoseconds), body);
}

}  // namespace gist::cpu
