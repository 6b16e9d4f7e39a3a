// Loops over the backend's threads. Bodies must not throw: reserve memory and check data before.
#pragma once

#include <omp.h>

#include <cstdint>

namespace gist::cpu {

/// body(begin, end) over disjoint ranges that cover [0, n), one a thread; at once on the calling
/// thread where the work is less than two times `grain`. Either one or all threads are used,
/// because OpenMP ends and restarts threads when their number changes.
template <typename Body>
void parallel_ranges(int threads, std::int64_t n, std::int64_t grain, Body&& body) {
  if (threads <= 1 || n < 2 * grain) {
    if (n > 0) body(std::int64_t{0}, n);
    return;
  }
#pragma omp parallel num_threads(threads)
  {
    const std::int64_t thread = omp_get_thread_num();
    const std::int64_t count = omp_get_num_threads();
    const std::int64_t begin = n * thread / count;
    const std::int64_t end = n * (thread + 1) / count;
    if (begin < end) body(begin, end);
  }
}

/// body(item, thread) for each item of [0, n), in no fixed order.
template <typename Body>
void parallel_items(int threads, std::int64_t n, Body&& body) {
  if (threads <= 1 || n <= 1) {
    for (std::int64_t item = 0; item < n; ++item) body(item, 0);
    return;
  }
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (std::int64_t item = 0; item < n; ++item) body(item, omp_get_thread_num());
}

/// Sets the number of threads of OpenMP regions in libraries, for as long as it lives.
class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) {
    if (before_ != threads) omp_set_num_threads(threads);
    changed_ = before_ != threads;
  }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;
  ~ThreadScope() {
    if (changed_) omp_set_num_threads(before_);
  }

 private:
  int before_;
  bool changed_ = false;
};

}  // namespace gist::cpu
