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

/// With s = sigmoid(gate): dgate = dy up s (1 + gate (1 - s)); dup = dy gate s.
void gate_with_silu_backward(const float* gate, const float* up, const float* dy, std::int64_t n,
                             float* dgate, float* dup) {
  const hn::ScalableTag<float> tag;
  const hn::CappedTag<float, 1> one_lane;
  const auto each = [&](auto d, std::int64_t i) {
    const auto one = hn::Set(d, 1.0F);
    const auto x = hn::LoadU(d, gate + i);
    const auto dout = hn::LoadU(d, dy + i);
    const auto s = hn::Div(one, hn::Add(one, hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0F)))));
    const auto slope = hn::Mul(s, hn::MulAdd(x, hn::Sub(one, s), one));
    const auto upper = hn::LoadU(d, up + i);
    hn::StoreU(hn::Mul(hn::Mul(dout, upper), slope), d, dgate + i);
    hn::StoreU(hn::Mul(hn::Mul(dout, x), s), d, dup + i);
  };
  const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
  std::int64_t i = 0;
  for (; i + lanes <= n; i += lanes) each(tag, i);
  for (; i < n; ++i) each(one_lane, i);
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(gate_with_silu);
HWY_EXPORT(gate_with_silu_backward);

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

void gated_activation_backward(Activation activation, const Tensor& gate, const Tensor& up,
                               const Tensor& dy, const Tensor& dgate, const Tensor& dup,
                               int threads) {
  const auto* gates = static_cast<const float*>(gate.data);
  const auto* ups = static_cast<const float*>(up.data);
  const auto* dout = static_cast<const float*>(dy.data);
  auto* dgates = static_cast<float*>(dgate.data);
  auto* dups = static_cast<float*>(dup.data);
  switch (activation) {
    case Activation::silu: {
      const auto apply = HWY_DYNAMIC_DISPATCH(gate_with_silu_backward);
      parallel_ranges(threads, dy.shape.elements(), 8192,
                      [&](std::int64_t begin, std::int64_t end) {
                        apply(gates + begin, ups + begin, dout + begin, end - begin, dgates + begin,
                              dups + begin);
                      });
    }
  }
}

}  // namespace gist::cpu
#endif
