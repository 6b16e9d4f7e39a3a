#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/norm.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

float sum_of_squares(const float* x, std::int64_t n) {
  const hn::ScalableTag<float> tag;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  auto sum = hn::Zero(tag);
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    const auto value = hn::LoadU(tag, x + i);
    sum = hn::MulAdd(value, value, sum);
  }
  float result = hn::GetLane(hn::SumOfLanes(tag, sum));
  for (; i < n; ++i) result += x[i] * x[i];
  return result;
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(sum_of_squares);

/// Blocks are summed in f32 and added in f64, in their order: no digits are lost, and the result
/// doesn't depend on the number of threads.
void compute(const ops::Norm& op, Context& context) {
  constexpr std::int64_t block = 4096;
  const std::int64_t n = op.x.shape.elements();
  const std::int64_t blocks = (n + block - 1) / block;
  const auto* values = static_cast<const float*>(op.x.data);
  auto* sums = context.scratch.reserve_array<float>(static_cast<std::size_t>(blocks));
  const auto sum = HWY_DYNAMIC_DISPATCH(sum_of_squares);
  parallel_ranges(context.threads, blocks, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t b = begin; b < end; ++b) {
      sums[b] = sum(values + b * block, std::min(block, n - b * block));
    }
  });
  double total = 0;
  for (std::int64_t b = 0; b < blocks; ++b) total += sums[b];
  *static_cast<float*>(op.y.data) = static_cast<float>(std::sqrt(total));
}

}  // namespace gist::cpu
#endif
