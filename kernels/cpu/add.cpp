#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {

void add(const Tensor& a, const Tensor& b, const Tensor& y, ThreadPool& threads) {
  const auto* left = static_cast<const float*>(a.data);
  const auto* right = static_cast<const float*>(b.data);
  auto* sum = static_cast<float*>(y.data);
  parallel_ranges(threads, y.shape.elements(), 32768, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) sum[i] = left[i] + right[i];
  });
}

}  // namespace gist::cpu
