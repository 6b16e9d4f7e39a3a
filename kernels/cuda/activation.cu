#include "kernels/cuda/curves.h"
#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

template <typename CurveOf>
__global__ void activation_kernel(const float* x, std::int64_t n, float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) y[i] = CurveOf::at(x[i]).value;
}

template <typename CurveOf>
__global__ void activation_backward_kernel(const float* x, const float* dy, std::int64_t n,
                                           float* dx) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    dx[i] = dy[i] * CurveOf::at(x[i]).slope;
  }
}

template <typename CurveOf>
__global__ void gated_kernel(const float* gate, const float* up, std::int64_t n, float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    y[i] = CurveOf::at(gate[i]).value * up[i];
  }
}

/// Outputs may be inputs: each thread reads an element's before it writes them.
template <typename CurveOf>
__global__ void gated_backward_kernel(const float* gate, const float* up, const float* dy,
                                      std::int64_t n, float* dgate, float* dup) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    const Curve curve = CurveOf::at(gate[i]);
    const float above = up[i], dout = dy[i];
    dgate[i] = dout * above * curve.slope;
    dup[i] = dout * curve.value;
  }
}

/// body(curve) with the activation's curve.
template <typename Body>
void with_curve(Activation activation, Body body) {
  switch (activation) {
    case Activation::silu:
      return body(Silu());
    case Activation::relu:
      return body(Relu());
    case Activation::gelu_new:
      return body(GeluNew());
  }
}

}  // namespace

void compute(const ops::Activation& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.y.shape.elements();
  with_curve(op.activation, [&](auto curve) {
    launch(context.device, elementwise_grid(context.device, n), activation_kernel<decltype(curve)>,
           data_of<const float>(op.x), n, data_of<float>(op.y));
  });
}

void compute(const ops::ActivationBackward& op, Context& context) {
  if (!context.begin(op.name, op.dx)) return;
  const std::int64_t n = op.dx.shape.elements();
  with_curve(op.activation, [&](auto curve) {
    launch(context.device, elementwise_grid(context.device, n),
           activation_backward_kernel<decltype(curve)>, data_of<const float>(op.x),
           data_of<const float>(op.dy), n, data_of<float>(op.dx));
  });
}

void compute(const ops::GatedActivation& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.y.shape.elements();
  with_curve(op.activation, [&](auto curve) {
    launch(context.device, elementwise_grid(context.device, n), gated_kernel<decltype(curve)>,
           data_of<const float>(op.gate), data_of<const float>(op.up), n, data_of<float>(op.y));
  });
}

void compute(const ops::GatedActivationBackward& op, Context& context) {
  if (!context.begin(op.name, op.dy)) return;
  const std::int64_t n = op.dy.shape.elements();
  with_curve(op.activation, [&](auto curve) {
    launch(context.device, elementwise_grid(context.device, n),
           gated_backward_kernel<decltype(curve)>, data_of<const float>(op.gate),
           data_of<const float>(op.up), data_of<const float>(op.dy), n, data_of<float>(op.dgate),
           data_of<float>(op.dup));
  });
}

}  // namespace gist::cuda
