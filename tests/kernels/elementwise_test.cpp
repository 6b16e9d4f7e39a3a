#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class Elementwise : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

TEST_F(Elementwise, RmsNormEqualsTheOracle) {
  for (const auto& [m, d] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {5, 64}, {300, 130}}) {
    const Floats x = random_.floats(m * d, 3);
    const Floats weight = random_.floats(d);
    const Doubles expected = rms_norm_oracle(doubles(x), doubles(weight), 1e-5);
    const Tensor y = arrays_.of({m, d}, x);
    backend_->run(
        ops::RmsNorm{.x = y, .weight = arrays_.of({d}, weight), .eps = 1e-5F, .y = y});  // in place
    EXPECT_LT(relative_error(arrays_.floats(y), expected), 1e-6) << m << " x " << d;
  }
}

TEST_F(Elementwise, RmsNormAddsTheOffsetToItsWeight) {
  constexpr std::int64_t m = 3, d = 37;
  const Floats x = random_.floats(m * d, 3), weight = random_.floats(d);
  Doubles shifted = doubles(weight);
  for (double& each : shifted) each += 1;
  const Tensor y = arrays_.empty({m, d});
  backend_->run(ops::RmsNorm{.x = arrays_.of({m, d}, x),
                             .weight = arrays_.of({d}, weight),
                             .weight_offset = 1,
                             .eps = 1e-5F,
                             .y = y});
  EXPECT_LT(relative_error(arrays_.floats(y), rms_norm_oracle(doubles(x), shifted, 1e-5)), 1e-6);
}

TEST_F(Elementwise, AddMayWriteToItsInput) {
  constexpr std::int64_t n = 100001;
  const Floats a = random_.floats(n);
  const Floats b = random_.floats(n);
  Doubles expected;
  for (std::size_t i = 0; i < a.size(); ++i) expected.push_back(a[i] + b[i]);
  const Tensor y = arrays_.of({n}, a);
  backend_->run(ops::Add{.a = y, .b = arrays_.of({n}, b), .y = y});
  EXPECT_EQ(relative_error(arrays_.floats(y), expected), 0);
}

TEST_F(Elementwise, SiluGateEqualsTheOracle) {
  Floats gate = random_.floats(20011, 5);
  gate[0] = 500;
  gate[1] = -500;
  gate[2] = -90;
  gate[3] = 0;
  Floats up = random_.floats(20011);
  up[0] /= 500;  // its size would hide the errors of the others
  const Doubles expected = silu_gate_oracle(doubles(gate), doubles(up));
  const Tensor y = arrays_.empty({20011});
  backend_->run(ops::GatedActivation{.activation = Activation::silu,
                                     .gate = arrays_.of({20011}, gate),
                                     .up = arrays_.of({20011}, up),
                                     .y = y});
  EXPECT_LT(relative_error(arrays_.floats(y), expected), 1e-6);
}

TEST_F(Elementwise, ScaleAndCapEqualsTheOracle) {
  Floats x = random_.floats(20011, 20);
  x[0] = 1e6F;
  x[1] = -1e6F;
  x[20010] = 1e6F;
  for (const float cap : {0.0F, 30.0F}) {
    Doubles expected;
    for (const float each : x) expected.push_back(scaled_and_capped(each, 1.5, cap));
    const Tensor y = arrays_.of({20011}, x);
    backend_->run(ops::ScaleAndCap{.x = y, .scale = 1.5F, .soft_cap = cap, .y = y});
    EXPECT_LT(relative_error(arrays_.floats(y), expected), 1e-6) << cap;
    const Tensor in = arrays_.of({20011}, x), out = arrays_.empty({20011});
    backend_->run(ops::ScaleAndCap{.x = in, .scale = 1.5F, .soft_cap = cap, .y = out});
    EXPECT_EQ(arrays_.floats(out), arrays_.floats(y));
    EXPECT_EQ(arrays_.floats(in), x);
  }
}

struct RotateCase {
  std::int64_t m, heads, dim;
  int rotary_dims;
  bool interleaved;
};

Doubles rope_oracle(const RotateCase& c, const Floats& x, const Integers& positions,
                    const Floats& inv_freq, double scale) {
  Doubles y(x.begin(), x.end());
  const int pairs = c.rotary_dims / 2;
  for (std::int64_t i = 0; i < c.m * c.heads; ++i) {
    const auto head = static_cast<std::size_t>(i * c.dim);
    for (int p = 0; p < pairs; ++p) {
      // The angle is a product in f32, as the definition says.
      const float angle = static_cast<float>(positions[static_cast<std::size_t>(i / c.heads)]) *
                          inv_freq[static_cast<std::size_t>(p)];
      const auto a = head + static_cast<std::size_t>(c.interleaved ? 2 * p : p);
      const auto b = head + static_cast<std::size_t>(c.interleaved ? 2 * p + 1 : p + pairs);
      y[a] = scale * (x[a] * std::cos(double{angle}) - x[b] * std::sin(double{angle}));
      y[b] = scale * (x[b] * std::cos(double{angle}) + x[a] * std::sin(double{angle}));
    }
  }
  return y;
}

TEST_F(Elementwise, RotateEqualsTheOracle) {
  for (const RotateCase& c : {RotateCase{5, 3, 8, 8, false}, RotateCase{5, 3, 8, 8, true},
                              RotateCase{200, 4, 96, 24, false}, RotateCase{7, 1, 10, 6, true},
                              RotateCase{2, 2, 5, 0, false}}) {
    const Floats x = random_.floats(c.m * c.heads * c.dim);
    Floats inv_freq;
    for (int p = 0; p < c.rotary_dims / 2; ++p) {
      inv_freq.push_back(
          std::pow(10000.0F, -2.0F * static_cast<float>(p) / static_cast<float>(c.rotary_dims)));
    }
    Integers positions;
    for (std::int64_t i = 0; i < c.m; ++i) positions.push_back(random_.below(5000));
    const RopePairs pairs = c.interleaved ? RopePairs::interleaved : RopePairs::half;
    const Doubles expected = rope_oracle(c, x, positions, inv_freq, 1.25);
    const Tensor in = arrays_.of({c.m, c.heads, c.dim}, x);
    const Tensor out = arrays_.empty({c.m, c.heads, c.dim});
    const Tensor at = arrays_.of({c.m}, positions);
    const Tensor rotation = arrays_.empty({c.m, 2, c.rotary_dims / 2});
    backend_->run(ops::Rotation{.positions = at,
                                .inv_freq = arrays_.of({c.rotary_dims / 2}, inv_freq),
                                .scale = 1.25F,
                                .rotation = rotation});
    backend_->run(ops::Rotate{.x = in,
                              .rotation = rotation,
                              .pairs = pairs,
                              .direction = RotateDirection::forward,
                              .y = out});
    EXPECT_LT(relative_error(arrays_.floats(out), expected), 1e-6);
    backend_->run(ops::Rotate{.x = in,
                              .rotation = rotation,
                              .pairs = pairs,
                              .direction = RotateDirection::forward,
                              .y = in});  // in place
    EXPECT_EQ(arrays_.floats(in), arrays_.floats(out));
  }
}

TEST_F(Elementwise, OperationsTakeNoRows) {
  const Tensor none = arrays_.empty({0, 4});
  backend_->run(ops::Add{.a = none, .b = none, .y = none});
  backend_->run(
      ops::RmsNorm{.x = none, .weight = arrays_.of({4}, Floats(4)), .eps = 1e-5F, .y = none});
  backend_->run(
      ops::GatedActivation{.activation = Activation::silu, .gate = none, .up = none, .y = none});
  backend_->run(ops::ScaleAndCap{.x = none, .scale = 1, .soft_cap = 0, .y = none});
  EXPECT_TRUE(arrays_.floats(none).empty());
}

}  // namespace
}  // namespace gist::test
