#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/activation.cpp"
#include <hwy/foreach_target.h>  // compiles this file once a target
#include <hwy/highway.h>
// Must follow highway.h.
#include "kernels/cpu/activation_curves-inl.h"
#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

HWY_BEFORE_NAMESPACE();
namespace gist::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// y[n] = activation(x[n])
void activate(Activation activation, const float* x, std::int64_t n, float* y) {
  with_curve(activation, n, [=](auto curve, auto d, std::int64_t i) HWY_ATTR {
    hn::StoreU(curve.value(d, hn::LoadU(d, x + i)), d, y + i);
  });
}

/// dx[n] = dy[n] activation'(x[n])
void activate_backward(Activation activation, const float* x, const float* dy, std::int64_t n,
                       float* dx) {
  with_curve(activation, n, [=](auto curve, auto d, std::int64_t i) HWY_ATTR {
    const auto slope = curve.curve(d, hn::LoadU(d, x + i)).slope;
    hn::StoreU(hn::Mul(hn::LoadU(d, dy + i), slope), d, dx + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(activate);
HWY_EXPORT(activate_backward);

void compute(const ops::Activation& op, Context& context) {
  const auto* in = static_cast<const float*>(op.x.data);
  auto* out = static_cast<float*>(op.y.data);
  const auto apply = HWY_DYNAMIC_DISPATCH(activate);
  parallel_ranges(context.threads, op.y.shape.elements(), 8192,
                  [&](std::int64_t begin, std::int64_t end) {
                    apply(op.activation, in + begin, end - begin, out + begin);
                  });
}

void compute(const ops::ActivationBackward& op, Context& context) {
  const auto* in = static_cast<const float*>(op.x.data);
  const auto* dout = static_cast<const float*>(op.dy.data);
  auto* din = static_cast<float*>(op.dx.data);
  const auto apply = HWY_DYNAMIC_DISPATCH(activate_backward);
  parallel_ranges(context.threads, op.dx.shape.elements(), 8192,
                  [&](std::int64_t begin, std::int64_t end) {
                    apply(op.activation, in + begin, dout + begin, end - begin, din + begin);
                  });
}

}  // namespace gist::cpu
#endif
