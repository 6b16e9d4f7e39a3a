#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include <algorithm>
#include <cstring>

#include "kernels/cpu/dropout_vectors-inl.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// Elements [4 begin, 4 end) of the n there are. One draw gives four neighbours.
void drop(const DropoutDraw& draw, const float* x, std::int64_t n, std::int64_t begin,
          std::int64_t end, float* y) {
  using F = hn::CappedTag<float, 16>;
  const F f32;
  const hn::RebindToUnsigned<F> u32;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(f32));
  std::int64_t index = begin;
  for (; index + lanes <= end && 4 * (index + lanes) <= n; index += lanes) {
    auto low = hn::Set(u32, static_cast<std::uint32_t>(index));
    auto high = hn::Set(u32, static_cast<std::uint32_t>(index >> 32));
    add_offset(u32, hn::Iota(u32, 0), low, high);
    hn::Vec<F> factors[4];
    draw_factors(f32, draw, low, high, factors);
    hn::Vec<F> v0, v1, v2, v3;
    hn::LoadInterleaved4(f32, x + 4 * index, v0, v1, v2, v3);
    hn::StoreInterleaved4(hn::Mul(v0, factors[0]), hn::Mul(v1, factors[1]), hn::Mul(v2, factors[2]),
                          hn::Mul(v3, factors[3]), f32, y + 4 * index);
  }
  for (; index < end; ++index) {
    const auto words = draw.words(static_cast<std::uint64_t>(index));
    for (std::int64_t i = 4 * index; i < std::min(n, 4 * index + 4); ++i) {
      y[i] = x[i] * draw.factor_of(words[static_cast<std::size_t>(i % 4)]);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(drop);

void compute(const ops::Dropout& op, Context& context) {
  if (op.dropout.probability == 0) {
    if (op.x.bytes() > 0) std::memmove(op.y.data, op.x.data, op.x.bytes());
    return;
  }
  const auto* in = static_cast<const float*>(op.x.data);
  auto* out = static_cast<float*>(op.y.data);
  const std::int64_t n = op.x.shape.elements();
  const DropoutDraw draw = dropout_draw(op.dropout);
  const auto apply = HWY_DYNAMIC_DISPATCH(drop);
  parallel_ranges(context.threads, (n + 3) / 4, 2048, [&](std::int64_t begin, std::int64_t end) {
    apply(draw, in, n, begin, end, out);
  });
}

}  // namespace gist::cpu
#endif
