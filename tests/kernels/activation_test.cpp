#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "kernels/meta/meta_backend.h"
#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"
#include "tests/kernels/simd_targets.h"

namespace gist::test {
namespace {

constexpr Activation all_activations[] = {Activation::silu, Activation::relu, Activation::gelu_new};

double activation_oracle(Activation activation, double x) {
  switch (activation) {
    case Activation::silu:
      return x / (1 + std::exp(-x));
    case Activation::relu:
      return std::max(x, 0.0);
    case Activation::gelu_new:
      break;
  }
  const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
  return 0.5 * x * (1 + std::tanh(u));
}

/// Returns the slope by central differences: x is not at relu's corner.
double slope_oracle(Activation activation, double x) {
  constexpr double step = 1e-5;
  return (activation_oracle(activation, x + step) - activation_oracle(activation, x - step)) /
         (2 * step);
}

template <typename Function>
Doubles mapped(const Floats& x, Function function) {
  Doubles y;
  for (const float each : x) y.push_back(function(each));
  return y;
}

Doubles product(const Doubles& a, const Floats& b) {
  Doubles y;
  for (std::size_t i = 0; i < a.size(); ++i) y.push_back(a[i] * b[i]);
  return y;
}

void expect_curve_equals_oracle(Backend& backend, std::int64_t n) {
  Random random(1);
  DeviceArrays arrays(backend);
  const Floats x = random.floats(n, 3);
  const Floats up = random.floats(n);
  const Floats dy = random.floats(n);
  for (const Activation activation : all_activations) {
    const Doubles value = mapped(x, [&](double at) { return activation_oracle(activation, at); });
    const Doubles slope = mapped(x, [&](double at) { return slope_oracle(activation, at); });
    const Tensor in = arrays.of({n}, x);
    const Tensor dout = arrays.of({n}, dy);
    const Tensor ups = arrays.of({n}, up);
    const Tensor y = arrays.empty({n});
    backend.run(ops::Activation{.activation = activation, .x = in, .y = y});
    EXPECT_LT(relative_error(arrays.floats(y), value), 1e-6);
    backend.run(ops::GatedActivation{.activation = activation, .gate = in, .up = ups, .y = y});
    EXPECT_LT(relative_error(arrays.floats(y), product(value, up)), 1e-6);
    const Tensor dgate = arrays.empty({n});
    const Tensor dup = arrays.empty({n});
    backend.run(ops::GatedActivationBackward{
        .activation = activation, .gate = in, .up = ups, .dy = dout, .dgate = dgate, .dup = dup});
    EXPECT_LT(relative_error(arrays.floats(dgate), product(product(slope, up), dy)), 1e-6);
    EXPECT_LT(relative_error(arrays.floats(dup), product(value, dy)), 1e-6);
    backend.run(ops::ActivationBackward{
        .activation = activation, .x = in, .dy = dout, .dx = dout});  // in place
    EXPECT_LT(relative_error(arrays.floats(dout), product(slope, dy)), 1e-6);
    backend.run(ops::Activation{.activation = activation, .x = in, .y = in});
    EXPECT_LT(relative_error(arrays.floats(in), value), 1e-6);
  }
}

TEST(ActivationTest, EqualsTheOracleAndItsDifferences) {
  const auto backend = backend_under_test();
  expect_curve_equals_oracle(*backend, 40013);  // on both threads
}

class ActivationOnTarget : public OnSimdTarget {};

TEST_P(ActivationOnTarget, EqualsTheOracleAndItsDifferences) {
  const auto backend = make_cpu_backend({.threads = 1});
  expect_curve_equals_oracle(*backend, 203);
}

INSTANTIATE_TEST_SUITE_P(Here, ActivationOnTarget, testing::ValuesIn(simd_targets_here()),
                         simd_target_name);

TEST(ActivationTest, TailsAreExact) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  for (const float x : {-3.0F, -4.5F, -5.0F, 9.0F, 11.0F}) {
    const Tensor y = arrays.empty({1});
    for (const Activation activation : all_activations) {
      backend->run(
          ops::Activation{.activation = activation, .x = arrays.of({1}, Floats{x}), .y = y});
      double expected = activation_oracle(activation, x);
      if (activation == Activation::gelu_new) {  // without 1 + tanh's cancellation
        const double u = std::sqrt(2 / std::numbers::pi) * (x + 0.044715 * x * x * x);
        expected = x / (1 + std::exp(-2 * u));
      }
      EXPECT_LT(relative_error(arrays.floats(y), {expected}), 1e-5) << x;
    }
  }
}

TEST(ActivationTest, LargeInputsSaturateAndNanStays) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Activation activation : all_activations) {
    const Tensor x = arrays.of({4}, Floats{1e30F, -1e30F, 0, nan});
    const Tensor y = arrays.empty({4});
    backend->run(ops::Activation{.activation = activation, .x = x, .y = y});
    const Floats values = arrays.floats(y);
    EXPECT_EQ(values[0], 1e30F);
    EXPECT_NEAR(values[1], 0, 1e-6);
    EXPECT_EQ(values[2], 0);
    EXPECT_TRUE(std::isnan(values[3]));
    backend->run(ops::ActivationBackward{
        .activation = activation, .x = x, .dy = arrays.of({4}, Floats(4, 1.0F)), .dx = y});
    const Floats slopes = arrays.floats(y);
    EXPECT_EQ(slopes[0], 1);
    EXPECT_NEAR(slopes[1], 0, 1e-6);
    EXPECT_EQ(slopes[2], activation == Activation::relu ? 0 : 0.5F);
  }
}

TEST(ActivationTest, IsCountedAndCheckedByMeta) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.empty({3, 8});
  meta->run(ops::Activation{.activation = Activation::relu, .x = x, .y = x});
  EXPECT_EQ(meta->costs().at("activation").flops, 24);
  EXPECT_EQ(meta->costs().at("activation").bytes_read, 96);
  meta->run(ops::ActivationBackward{.activation = Activation::relu, .x = x, .dy = x, .dx = x});
  EXPECT_EQ(meta->costs().at("activation_backward").flops, 5 * 24);
  const Tensor other = arrays.empty({24});
  EXPECT_THROW(meta->run(ops::Activation{.activation = Activation::relu, .x = x, .y = other}),
               Error);
  EXPECT_THROW(meta->run(ops::ActivationBackward{
                   .activation = Activation::relu, .x = x, .dy = other, .dx = x}),
               Error);
  EXPECT_THROW(meta->run(ops::ActivationBackward{
                   .activation = Activation::relu, .x = x, .dy = x, .dx = other}),
               Error);
}

}  // namespace
}  // namespace gist::test
