#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/gated_activation.cpp"
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

/// y[n] = activation(gate[n]) * up[n]
void apply_gate(Activation activation, const float* gate, const float* up, std::int64_t n,
                float* y) {
  with_curve(activation, n, [=](auto curve, auto d, std::int64_t i) HWY_ATTR {
    const auto value = curve.value(d, hn::LoadU(d, gate + i));
    hn::StoreU(hn::Mul(value, hn::LoadU(d, up + i)), d, y + i);
  });
}

/// dgate = dy up activation'(gate); dup = dy activation(gate).
void apply_gate_backward(Activation activation, const float* gate, const float* up, const float* dy,
                         std::int64_t n, float* dgate, float* dup) {
  with_curve(activation, n, [=](auto curve, auto d, std::int64_t i) HWY_ATTR {
    const auto at = curve.curve(d, hn::LoadU(d, gate + i));
    const auto dout = hn::LoadU(d, dy + i);
    const auto upper = hn::LoadU(d, up + i);
    hn::StoreU(hn::Mul(hn::Mul(dout, upper), at.slope), d, dgate + i);
    hn::StoreU(hn::Mul(dout, at.value), d, dup + i);
  });
}

}  // namespace HWY_NAMESPACE
}  // namespace gist::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gist::cpu {

HWY_EXPORT(apply_gate);
HWY_EXPORT(apply_gate_backward);

void compute(const ops::GatedActivation& op, Context& context) {
  const auto* gates = static_cast<const float*>(op.gate.data);
  const auto* ups = static_cast<const float*>(op.up.data);
  auto* out = static_cast<float*>(op.y.data);
  const auto apply = HWY_DYNAMIC_DISPATCH(apply_gate);
  parallel_ranges(context.threads, op.y.shape.elements(), 8192,
                  [&](std::int64_t begin, std::int64_t end) {
                    apply(op.activation, gates + begin, ups + begin, end - begin, out + begin);
                  });
}

void compute(const ops::GatedActivationBackward& op, Context& context) {
  const auto* gates = static_cast<const float*>(op.gate.data);
  const auto* ups = static_cast<const float*>(op.up.data);
  const auto* dout = static_cast<const float*>(op.dy.data);
  auto* dgates = static_cast<float*>(op.dgate.data);
  auto* dups = static_cast<float*>(op.dup.data);
  const auto apply = HWY_DYNAMIC_DISPATCH(apply_gate_backward);
  parallel_ranges(context.threads, op.dy.shape.elements(), 8192,
                  [&](std::int64_t begin, std::int64_t end) {
                    apply(op.activation, gates + begin, ups + begin, dout + begin, end - begin,
                          dgates + begin, dups + begin);
                  });
}

}  // namespace gist::cpu
#endif
