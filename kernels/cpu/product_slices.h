// How a matrix product is cut for threads: oneDNN computes each slice on the thread that calls it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/cpu/parallel.h"

namespace gist::cpu {

/// [0, length) in runs of `size`, of which the last may be shorter.
struct Slices {
  std::int64_t length = 0;
  std::int64_t size = 1;

  std::int64_t count() const { return (length + size - 1) / size; }
  std::int64_t begin(std::int64_t i) const { return i * size; }
  std::int64_t end(std::int64_t i) const { return std::min(length, (i + 1) * size); }
  /// Slices of two sizes at most have different products.
  std::int64_t size_of(std::int64_t i) const { return end(i) - begin(i); }
};

/// At most `wanted` slices, whose sizes but the last one's are multiples of `step`.
inline Slices slices_of(std::int64_t length, std::int64_t wanted, std::int64_t step) {
  const std::int64_t each = (length + wanted - 1) / std::max<std::int64_t>(wanted, 1);
  return {length, std::max((each + step - 1) / step * step, step)};
}

/// About how long one thread computes x[m, k] w[k, n]: measured with AVX-512; others are slower,
/// which feeds more threads. Few rows wait for the weight.
inline double nanoseconds_of_product(std::int64_t m, std::int64_t n, std::int64_t k) {
  return 2 * static_cast<double>(n) * static_cast<double>(k) *
         (static_cast<double>(m) / 170 + 1.0 / 80);
}

/// How many threads it feeds: measured, two are faster from twice so long on.
inline int threads_of_product(const ThreadPool& threads, double nanoseconds) {
  constexpr double least = 2500;  // of a thread
  return static_cast<int>(std::clamp(nanoseconds / least, 1.0, double(threads.count())));
}

/// How many slices a product is worth on so many threads: more than one a thread where they are
/// long, so that a thread that is late costs little.
inline std::int64_t slices_worth(int threads, double nanoseconds) {
  constexpr double long_slice = 400'000;
  const auto each = static_cast<std::int64_t>(nanoseconds / threads / long_slice);
  return threads <= 1 ? 1 : threads * std::clamp<std::int64_t>(each, 1, 4);
}

}  // namespace gist::cpu
