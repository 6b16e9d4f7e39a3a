#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_activation.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D, class V>
HWY_INLINE V silu(D tag, V x) {
  const auto one = hn::Set(tag, 1.0F);
  const auto largest = hn::Set(tag, 88.0F);  // hn::Exp is undefined far beyond f32's range
  return hn::Div(x, hn::Add(one, hn::Exp(tag, hn::Min(hn::Neg(x), largest))));
}

/// y[n] = silu(gate[n]) * up[n]
void gate_with_silu(const float* gate, const float* up, std::int64_t n, float* y) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    hn::StoreU(hn::Mul(silu(tag, hn::LoadU(tag, gate + i)), hn::LoadU(tag, up + i)), tag, y + i);
  }
  for (; i < n; ++i) {
    hn::StoreU(hn::Mul(silu(one_lane, hn::LoadU(one_lane, gate + i)), hn::LoadU(one_lane, up + i)),
               one_lane, y + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(gate_with_silu);

void gated_activation(Activation activation, const Tensor& gate, const Tensor& up, const Tensor& y,
                      int threads) {
  const auto* gates = static_cast<const float*>(gate.data);
  const auto* ups = static_cast<const float*>(up.data);
  auto* out = static_cast<float*>(y.data);
  switch (activation) {
    case Activation::silu: {
      const auto apply = HWY_DYNAMIC_DISPATCH(gate_with_silu);
      parallel_ranges(threads, y.shape.elements(), 8192, [&](std::int64_t begin, std::int64_t end) {
        apply(gates + begin, ups + begin, end - begin, out + begin);
      });
    }
  }
}

}  // namespace gist::cpu
#endif
