// Activations and their slopes on vectors. Included once a SIMD target.
#if defined(GIST_KERNELS_CPU_ACTIVATION_CURVES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GIST_KERNELS_CPU_ACTIVATION_CURVES_INL_H
#undef GIST_KERNELS_CPU_ACTIVATION_CURVES_INL_H
#else
#define GIST_KERNELS_CPU_ACTIVATION_CURVES_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "kernels/ops/activation.h"
// Must follow highway.h.
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class V>
struct Curve {
  V value, slope;
};

/// exp(-x). hn::Exp is undefined far beyond f32's range.
template <class D, class V>
HWY_INLINE V exp_of_negative(D d, V x) {
  return hn::Exp(d, hn::Min(hn::Neg(x), hn::Set(d, 88.0F)));
}

/// sigmoid(x), and 1 - sigmoid(x) without cancellation.
template <class V>
struct Sigmoid {
  V value, rest;
};
template <class D, class V>
HWY_INLINE Sigmoid<V> sigmoid(D d, V x) {
  const V one = hn::Set(d, 1.0F);
  const V exp = exp_of_negative(d, x);
  const V value = hn::Div(one, hn::Add(one, exp));
  return {value, hn::Mul(exp, value)};
}

/// x s with s = sigmoid(x); the slope is s (1 + x (1 - s)).
struct Silu {
  template <class D, class V>
  static HWY_INLINE V value(D d, V x) {
    return hn::Div(x, hn::Add(hn::Set(d, 1.0F), exp_of_negative(d, x)));
  }
  template <class D, class V>
  static HWY_INLINE Curve<V> curve(D d, V x) {
    const Sigmoid<V> s = sigmoid(d, x);
    return {hn::Mul(x, s.value), hn::Mul(s.value, hn::MulAdd(x, s.rest, hn::Set(d, 1.0F)))};
  }
};

struct Relu {
  template <class D, class V>
  static HWY_INLINE V value(D d, V x) {
    return hn::IfThenZeroElse(hn::Lt(x, hn::Zero(d)), x);  // not Max: NaN stays
  }
  template <class D, class V>
  static HWY_INLINE Curve<V> curve(D d, V x) {
    return {value(d, x), hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0F))};
  }
};

/// As 0.5 (1 + tanh(u)) = sigmoid(2 u), this is x s with s = sigmoid(2 u): exact where tanh comes
/// close to -1, too. The slope is s (1 + x (2 u)' (1 - s)). Beyond 10, s is 0 or 1 in f32, so that
/// the cube never overflows.
struct GeluNew {
  static constexpr float linear = 1.5957691216F;  // 2 sqrt(2 / pi)
  static constexpr float cubic = 1.5957691216F * 0.044715F;

  template <class D, class V>
  static HWY_INLINE V clamped(D d, V x) {
    return hn::Clamp(x, hn::Set(d, -10.0F), hn::Set(d, 10.0F));
  }
  template <class D, class V>
  static HWY_INLINE V twice_u(D d, V near) {
    const V square = hn::Mul(near, near);
    return hn::Mul(near, hn::MulAdd(hn::Set(d, cubic), square, hn::Set(d, linear)));
  }
  template <class D, class V>
  static HWY_INLINE V value(D d, V x) {
    const V exp = exp_of_negative(d, twice_u(d, clamped(d, x)));
    return hn::Div(x, hn::Add(hn::Set(d, 1.0F), exp));
  }
  template <class D, class V>
  static HWY_INLINE Curve<V> curve(D d, V x) {
    const V near = clamped(d, x);
    const Sigmoid<V> s = sigmoid(d, twice_u(d, near));
    const V slope_of_u = hn::MulAdd(hn::Set(d, 3 * cubic), hn::Mul(near, near), hn::Set(d, linear));
    const V part = hn::Mul(near, slope_of_u);
    return {hn::Mul(x, s.value), hn::Mul(s.value, hn::MulAdd(part, s.rest, hn::Set(d, 1.0F)))};
  }
};

/// body(curve, tag, i) with the activation's curve, for vectors that cover [0, n).
template <class Body>
HWY_INLINE void with_curve(Activation activation, std::int64_t n, Body body) {
  const auto cover = [&](auto curve) HWY_ATTR {
    const hn::ScalableTag<float> tag;
    const hn::CappedTag<float, 1> one_lane;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(tag));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) body(curve, tag, i);
    for (; i < n; ++i) body(curve, one_lane, i);
  };
  switch (activation) {
    case Activation::silu:
      return cover(Silu());
    case Activation::relu:
      return cover(Relu());
    case Activation::gelu_new:
      return cover(GeluNew());
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#endif
