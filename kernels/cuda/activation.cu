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

void activation(Device& device, Activation activation, const Tensor& x, const Tensor& y) {
  const std::int64_t n = y.shape.elements();
  with_curve(activation, [&](auto curve) {
    launch(device, elementwise_grid(device, n), activation_kernel<decltype(curve)>,
           data_of<const float>(x), n, data_of<float>(y));
  });
}

void activation_backward(Device& device, Activation activation, const Tensor& x, const Tensor& dy,
                         const Tensor& dx) {
  const std::int64_t n = dx.shape.elements();
  with_curve(activation, [&](auto curve) {
    launch(device, elementwise_grid(device, n), activation_backward_kernel<decltype(curve)>,
           data_of<const float>(x), data_of<const float>(dy), n, data_of<float>(dx));
  });
}

void gated_activation(Device& device, Activation activation, const Tensor& gate, const Tensor& up,
                      const Tensor& y) {
  const std::int64_t n = y.shape.elements();
  with_curve(activation, [&](auto curve) {
    launch(device, elementwise_grid(device, n), gated_kernel<decltype(curve)>,
           data_of<const float>(gate), data_of<const float>(up), n, data_of<float>(y));
  });
}

void gated_activation_backward(Device& device, Activation activation, const Tensor& gate,
                               const Tensor& up, const Tensor& dy, const Tensor& dgate,
                               const Tensor& dup) {
  const std::int64_t n = dy.shape.elements();
  with_curve(activation, [&](auto curve) {
    launch(device, elementwise_grid(device, n), gated_backward_kernel<decltype(curve)>,
           data_of<const float>(gate), data_of<const float>(up), data_of<const float>(dy), n,
           data_of<float>(dgate), data_of<float>(dup));
  });
}

}  // namespace gist::cuda
