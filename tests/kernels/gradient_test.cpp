// Gradients of the operations by each of their inputs, against central differences of the oracles.
// Those of matrix products, attention and the loss have tests of their own.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class Gradient : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

TEST_F(Gradient, OfEmbeddingAddsUpTheRowsOfAnId) {
  constexpr std::int64_t m = 6, d = 5, rows = 4;
  const Integers ids = {2, 0, 2, 3, 2, 0};  // never 1
  const Floats dy = random_.floats(m * d), before = random_.floats(rows * d);
  Doubles expected = doubles(before);
  for (std::size_t i = 0; i < ids.size() * d; ++i) {
    expected[static_cast<std::size_t>(ids[i / d]) * d + i % d] += dy[i];
  }
  const Tensor dtable = arrays_.of({rows, d}, before);
  backend_->run(ops::EmbeddingBackward{
      .ids = arrays_.of({m}, ids), .dy = arrays_.of({m, d}, dy), .dtable = dtable});
  EXPECT_LT(relative_l2(arrays_.floats(dtable), expected), 1e-6);
  EXPECT_EQ(arrays_.floats(dtable.rows(1, 2)), Floats(before.begin() + d, before.begin() + 2 * d));
}

TEST_F(Gradient, OfEmbeddingRefusesIdsOutsideTheTable) {
  const Tensor dtable = arrays_.of({3, 2}, Floats(6));
  for (const std::int32_t id : {-1, 3}) {
    EXPECT_THROW(
        {
          backend_->run(ops::EmbeddingBackward{.ids = arrays_.of({2}, Integers{0, id}),
                                               .dy = arrays_.of({2, 2}, Floats(4, 1.0F)),
                                               .dtable = dtable});
          backend_->synchronize();
        },
        Error);
  }
  EXPECT_EQ(arrays_.floats(dtable), Floats(6));
}

TEST_F(Gradient, OfRmsNormByItsInputAndWeight) {
  constexpr double eps = 0.01;  // large enough to show
  for (const auto& [m, d] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {5, 64}, {131, 7}}) {
    const Floats x = random_.floats(m * d, 0.5F), dy = random_.floats(m * d);
    const Floats weight = random_.floats(d), before = random_.floats(d);
    const Tensor dx = arrays_.filled({m, d}, 99), dweight = arrays_.of({d}, before);
    ops::RmsNormBackward backward{.x = arrays_.of({m, d}, x),
                                  .weight = arrays_.of({d}, weight),
                                  .eps = eps,
                                  .dy = arrays_.of({m, d}, dy),
                                  .dx = dx,
                                  .dweight = dweight};
    backend_->run(backward);
    backward.dx = arrays_.filled({m, d}, 99);
    backward.dweight = {};
    backend_->run(backward);
    EXPECT_EQ(arrays_.floats(backward.dx), arrays_.floats(dx)) << "of a frozen weight";
    EXPECT_LT(relative_l2(arrays_.floats(dx), numerical_gradient(x, dy,
                                                                 [&](const Doubles& at) {
                                                                   return rms_norm_oracle(
                                                                       at, doubles(weight), eps);
                                                                 })),
              gradient_tolerance)
        << m << " x " << d;
    EXPECT_LT(relative_l2(difference(arrays_.floats(dweight), before),
                          numerical_gradient(weight, dy,
                                             [&](const Doubles& at) {
                                               return rms_norm_oracle(doubles(x), at, eps);
                                             })),
              gradient_tolerance)
        << m << " x " << d;
  }
}

TEST_F(Gradient, OfRmsNormCountsTheOffsetOfItsWeight) {
  constexpr std::int64_t m = 3, d = 21;
  const Floats x = random_.floats(m * d, 0.5F), dy = random_.floats(m * d);
  const Floats weight = random_.floats(d);
  const Tensor dx = arrays_.filled({m, d}, 99), dweight = arrays_.of({d}, Floats(d));
  backend_->run(ops::RmsNormBackward{.x = arrays_.of({m, d}, x),
                                     .weight = arrays_.of({d}, weight),
                                     .weight_offset = 1,
                                     .eps = 0.01F,
                                     .dy = arrays_.of({m, d}, dy),
                                     .dx = dx,
                                     .dweight = dweight});
  const auto normed = [](const Doubles& at, Doubles by) {
    for (double& each : by) each += 1;
    return rms_norm_oracle(at, by, 0.01);
  };
  EXPECT_LT(relative_l2(arrays_.floats(dx),
                        numerical_gradient(
                            x, dy, [&](const Doubles& at) { return normed(at, doubles(weight)); })),
            gradient_tolerance);
  EXPECT_LT(relative_l2(arrays_.floats(dweight),
                        numerical_gradient(
                            weight, dy, [&](const Doubles& at) { return normed(doubles(x), at); })),
            gradient_tolerance);
}

TEST_F(Gradient, OfRmsNormOfZerosIsFinite) {
  const Tensor dx = arrays_.filled({1, 3}, 99), dweight = arrays_.of({3}, Floats(3));
  backend_->run(ops::RmsNormBackward{.x = arrays_.of({1, 3}, Floats(3)),
                                     .weight = arrays_.of({3}, Floats(3, 1.0F)),
                                     .eps = 0.25F,
                                     .dy = arrays_.of({1, 3}, Floats{1, 2, 3}),
                                     .dx = dx,
                                     .dweight = dweight});
  EXPECT_EQ(arrays_.floats(dx), (Floats{2, 4, 6}));  // dy / sqrt(eps)
  EXPECT_EQ(arrays_.floats(dweight), Floats(3));
}

TEST_F(Gradient, OfTheSiluGateByGateAndUp) {
  constexpr std::int64_t n = 517;
  Floats gate = random_.floats(n, 4);
  gate[0] = 500;
  gate[1] = -500;
  gate[2] = -90;
  gate[3] = 0;
  gate[n - 1] = -500;  // not in a whole vector
  Floats up = random_.floats(n);
  up[0] /= 500;  // its size would hide the errors of the others
  const Floats dy = random_.floats(n);
  const Tensor dgate = arrays_.filled({n}, 99), dup = arrays_.filled({n}, 99);
  backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                             .gate = arrays_.of({n}, gate),
                                             .up = arrays_.of({n}, up),
                                             .dy = arrays_.of({n}, dy),
                                             .dgate = dgate,
                                             .dup = dup});
  const auto by_gate = numerical_gradient(
      gate, dy, [&](const Doubles& at) { return silu_gate_oracle(at, doubles(up)); });
  auto by_up = numerical_gradient(
      up, dy, [&](const Doubles& at) { return silu_gate_oracle(doubles(gate), at); });
  EXPECT_LT(relative_l2(arrays_.floats(dgate), by_gate), gradient_tolerance);
  Floats found = arrays_.floats(dup);
  EXPECT_NEAR(found[0], by_up[0], gradient_tolerance * std::abs(by_up[0]));
  found[0] = 0;
  by_up[0] = 0;
  EXPECT_LT(relative_l2(found, by_up), gradient_tolerance);
}

TEST_F(Gradient, OfRotateIsTheRotationBack) {
  struct RotatedBack {
    std::int64_t m, heads, dim, pairs;
  };
  for (const RotatedBack& c : {RotatedBack{3, 2, 8, 4}, RotatedBack{2, 3, 37, 18},
                               RotatedBack{4, 1, 10, 3}, RotatedBack{2, 2, 5, 0}}) {
    for (const RopePairs pairs : {RopePairs::half, RopePairs::interleaved}) {
      const Floats x = random_.floats(c.m * c.heads * c.dim);
      const Floats dy = random_.floats(c.m * c.heads * c.dim);
      const Floats frequencies = random_.floats(c.pairs);
      const Tensor rotation = arrays_.empty({c.m, 2, c.pairs});
      Integers positions;
      for (std::int64_t i = 0; i < c.m; ++i) positions.push_back(random_.below(100));
      const auto rotation_with_scale = [&](float scale) {
        backend_->run(ops::Rotation{.positions = arrays_.of({c.m}, positions),
                                    .inv_freq = arrays_.of({c.pairs}, frequencies),
                                    .scale = scale,
                                    .rotation = rotation});
      };
      rotation_with_scale(1.25F);
      const Floats table = arrays_.floats(rotation);
      const Tensor dx = arrays_.filled({c.m, c.heads, c.dim}, 99);
      const Tensor gradient = arrays_.of({c.m, c.heads, c.dim}, dy);
      backend_->run(ops::Rotate{.x = gradient,
                                .rotation = rotation,
                                .pairs = pairs,
                                .direction = RotateDirection::backward,
                                .y = dx});
      const auto expected = numerical_gradient(x, dy, [&](const Doubles& at) {
        return rotate_oracle(at, table, c.heads, c.dim, c.pairs, pairs);
      });
      EXPECT_LT(relative_l2(arrays_.floats(dx), expected), gradient_tolerance) << c.dim;
      backend_->run(ops::Rotate{.x = gradient,
                                .rotation = rotation,
                                .pairs = pairs,
                                .direction = RotateDirection::backward,
                                .y = gradient});
      EXPECT_EQ(arrays_.floats(gradient), arrays_.floats(dx)) << "in place";

      rotation_with_scale(1);
      const Tensor there = arrays_.of({c.m, c.heads, c.dim}, x);
      backend_->run(ops::Rotate{.x = there,
                                .rotation = rotation,
                                .pairs = pairs,
                                .direction = RotateDirection::forward,
                                .y = there});
      backend_->run(ops::Rotate{.x = there,
                                .rotation = rotation,
                                .pairs = pairs,
                                .direction = RotateDirection::backward,
                                .y = there});
      EXPECT_LT(relative_l2(arrays_.floats(there), doubles(x)), 1e-6) << c.dim;
    }
  }
}

TEST_F(Gradient, OfNoRowsIsNothing) {
  const Tensor none = arrays_.empty({0, 4}), ids = arrays_.empty(Dtype::i32, {0});
  const Tensor table = arrays_.filled({3, 4}, 1), weight = arrays_.filled({4}, 2);
  backend_->run(ops::EmbeddingBackward{.ids = ids, .dy = none, .dtable = table});
  backend_->run(ops::RmsNormBackward{
      .x = none, .weight = weight, .eps = 1e-5F, .dy = none, .dx = none, .dweight = weight});
  backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                             .gate = none,
                                             .up = none,
                                             .dy = none,
                                             .dgate = none,
                                             .dup = none});
  EXPECT_EQ(arrays_.floats(table), Floats(12, 1.0F));
  EXPECT_EQ(arrays_.floats(weight), Floats(4, 2.0F));
}

TEST_F(Gradient, MayOverwriteThatOfTheResult) {
  constexpr std::int64_t m = 3, d = 21;
  const Floats x = random_.floats(m * d), dy = random_.floats(m * d);
  const Tensor in = arrays_.of({m, d}, x), weight = arrays_.of({d}, random_.floats(d));
  const Tensor dx = arrays_.filled({m, d}, 99), dup = arrays_.filled({m, d}, 99),
               sink = arrays_.of({d}, Floats(d));
  Tensor gradient = arrays_.of({m, d}, dy);
  backend_->run(ops::RmsNormBackward{
      .x = in, .weight = weight, .eps = 1e-5F, .dy = gradient, .dx = dx, .dweight = sink});
  backend_->run(ops::RmsNormBackward{
      .x = in, .weight = weight, .eps = 1e-5F, .dy = gradient, .dx = gradient, .dweight = sink});
  EXPECT_EQ(arrays_.floats(gradient), arrays_.floats(dx));
  gradient = arrays_.of({m, d}, dy);
  backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                             .gate = in,
                                             .up = in,
                                             .dy = gradient,
                                             .dgate = dx,
                                             .dup = dup});
  backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                             .gate = in,
                                             .up = in,
                                             .dy = gradient,
                                             .dgate = gradient,
                                             .dup = dup});
  EXPECT_EQ(arrays_.floats(gradient), arrays_.floats(dx));
}

TEST(GradientThreads, DoNotChangeABit) {
  constexpr std::int64_t m = 2000, d = 67, rows = 11;
  Random random(2);
  const Floats x = random.floats(m * d), weight = random.floats(d), dy = random.floats(m * d);
  Integers ids;
  for (std::int64_t i = 0; i < m; ++i) ids.push_back(random.below(rows));
  std::vector<Floats> first;
  for (const int threads : {1, 2, 3, 5}) {
    const auto backend = make_cpu_backend({.threads = threads});
    DeviceArrays arrays(*backend);
    const Tensor dx = arrays.empty({m, d}), gradient = arrays.of({m, d}, dy);
    const Tensor dweight = arrays.of({d}, Floats(d, 0.5F));
    const Tensor dtable = arrays.of({rows, d}, Floats(rows * d, 0.5F));
    backend->run(ops::RmsNormBackward{.x = arrays.of({m, d}, x),
                                      .weight = arrays.of({d}, weight),
                                      .eps = 1e-5F,
                                      .dy = gradient,
                                      .dx = dx,
                                      .dweight = dweight});
    backend->run(
        ops::EmbeddingBackward{.ids = arrays.of({m}, ids), .dy = gradient, .dtable = dtable});
    const std::vector<Floats> found{arrays.floats(dx), arrays.floats(dweight),
                                    arrays.floats(dtable)};
    if (first.empty()) first = found;
    EXPECT_EQ(found, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace gist::test
