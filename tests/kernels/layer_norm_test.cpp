#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

/// Which of the two vectors a norm has.
struct NormVectors {
  bool weight, bias;
};

class LayerNorm : public testing::Test {
 protected:
  static constexpr double eps = 0.01;  // large enough to show

  Tensor given(const Floats& values, bool there) {
    const auto d = static_cast<std::int64_t>(values.size());
    return there ? arrays_.of({d}, values) : Tensor{nullptr, Dtype::f32, {d}};
  }

  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

constexpr NormVectors all_vectors[] = {{true, true}, {true, false}, {false, true}, {false, false}};

TEST_F(LayerNorm, EqualsTheOracle) {
  for (const auto& [m, d] :
       {std::pair<std::int64_t, std::int64_t>{1, 1}, {3, 17}, {5, 64}, {300, 130}}) {
    for (const auto& [with_weight, with_bias] : all_vectors) {
      Floats x = random_.floats(m * d, 3);
      for (float& each : x) each += 50;  // a mean whose square would hide the variance
      const Floats weight = with_weight ? random_.floats(d) : Floats(d, 1.0F);
      const Floats bias = with_bias ? random_.floats(d) : Floats(d);
      const Doubles expected = layer_norm_oracle(doubles(x), doubles(weight), doubles(bias), eps);
      const Tensor in = arrays_.of({m, d}, x), y = arrays_.empty({m, d});
      ops::LayerNorm norm{.x = in,
                          .weight = given(weight, with_weight),
                          .bias = given(bias, with_bias),
                          .eps = eps,
                          .y = y};
      backend_->run(norm);
      EXPECT_LT(relative_error(arrays_.floats(y), expected), 1e-5) << m << " x " << d;
      norm.y = in;
      backend_->run(norm);
      EXPECT_EQ(arrays_.floats(in), arrays_.floats(y)) << "in place";
    }
  }
}

TEST_F(LayerNorm, HasTheGradientsOfTheOracle) {
  for (const auto& [m, d] : {std::pair<std::int64_t, std::int64_t>{1, 3}, {3, 17}, {131, 7}}) {
    for (const auto& [with_weight, with_bias] : all_vectors) {
      const Floats x = random_.floats(m * d, 0.5F), dy = random_.floats(m * d);
      const Floats weight = with_weight ? random_.floats(d) : Floats(d, 1.0F), bias(d);
      const Floats before = random_.floats(d);
      const Tensor dx = arrays_.filled({m, d}, 99);
      const Tensor dweight = given(before, with_weight), dbias = given(before, with_bias);
      ops::LayerNormBackward backward{.x = arrays_.of({m, d}, x),
                                      .weight = given(weight, with_weight),
                                      .eps = eps,
                                      .dy = arrays_.of({m, d}, dy),
                                      .dx = dx,
                                      .dweight = dweight,
                                      .dbias = dbias};
      backend_->run(backward);
      const auto by_x = numerical_gradient(x, dy, [&](const Doubles& at) {
        return layer_norm_oracle(at, doubles(weight), doubles(bias), eps);
      });
      EXPECT_LT(relative_l2(arrays_.floats(dx), by_x), gradient_tolerance) << m << " x " << d;
      if (with_weight) {
        const auto by_weight = numerical_gradient(weight, dy, [&](const Doubles& at) {
          return layer_norm_oracle(doubles(x), at, doubles(bias), eps);
        });
        EXPECT_LT(relative_l2(difference(arrays_.floats(dweight), before), by_weight),
                  gradient_tolerance);
      }
      if (with_bias) {
        const auto by_bias = numerical_gradient(bias, dy, [&](const Doubles& at) {
          return layer_norm_oracle(doubles(x), doubles(weight), at, eps);
        });
        EXPECT_LT(relative_l2(difference(arrays_.floats(dbias), before), by_bias),
                  gradient_tolerance);
      }
      const Floats expected = arrays_.floats(dx);
      backward.dweight = backward.dbias = {};
      backend_->run(backward);
      EXPECT_EQ(arrays_.floats(dx), expected) << "of frozen weights";
      backward.dx = backward.dy;
      backend_->run(backward);
      EXPECT_EQ(arrays_.floats(backward.dx), expected) << "in place";
    }
  }
}

TEST_F(LayerNorm, OfAValueThatIsNotFiniteIsNoNumber) {
  Floats x = random_.floats(40);
  x[37] = std::numeric_limits<float>::infinity();
  const Tensor y = arrays_.empty({2, 20});
  backend_->run(
      ops::LayerNorm{.x = arrays_.of({2, 20}, x), .weight = {}, .bias = {}, .eps = eps, .y = y});
  const Floats found = arrays_.floats(y);
  for (std::size_t i = 0; i < found.size(); ++i) EXPECT_EQ(std::isnan(found[i]), i >= 20) << i;
}

TEST_F(LayerNorm, TakesNoRows) {
  const Tensor none = arrays_.empty({0, 4}), sums = arrays_.filled({4}, 2);
  backend_->run(ops::LayerNorm{.x = none, .weight = sums, .bias = sums, .eps = eps, .y = none});
  backend_->run(ops::LayerNormBackward{.x = none,
                                       .weight = sums,
                                       .eps = eps,
                                       .dy = none,
                                       .dx = none,
                                       .dweight = sums,
                                       .dbias = sums});
  EXPECT_EQ(arrays_.floats(sums), Floats(4, 2.0F));
}

TEST(LayerNormThreads, DoNotChangeABit) {
  constexpr std::int64_t m = 2000, d = 67;
  Random random(2);
  const Floats x = random.floats(m * d), weight = random.floats(d), dy = random.floats(m * d);
  std::vector<Floats> first;
  for (const int threads : {1, 2, 3, 5}) {
    const auto backend = make_cpu_backend({.threads = threads});
    DeviceArrays arrays(*backend);
    const Tensor dx = arrays.empty({m, d});
    const Tensor dweight = arrays.filled({d}, 0.5F), dbias = arrays.filled({d}, 0.5F);
    backend->run(ops::LayerNormBackward{.x = arrays.of({m, d}, x),
                                        .weight = arrays.of({d}, weight),
                                        .eps = 1e-5F,
                                        .dy = arrays.of({m, d}, dy),
                                        .dx = dx,
                                        .dweight = dweight,
                                        .dbias = dbias});
    const std::vector<Floats> found{arrays.floats(dx), arrays.floats(dweight),
                                    arrays.floats(dbias)};
    if (first.empty()) first = found;
    EXPECT_EQ(found, first) << threads << " threads";
  }
}

}  // namespace
}  // namespace gist::test
