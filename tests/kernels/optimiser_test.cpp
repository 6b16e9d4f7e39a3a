// These tests check what a step of training does with the gradients: zero, norm and adamw.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class Optimiser : public testing::Test {
 protected:
  float norm_of(const Floats& values) {
    const Tensor y = arrays_.empty({1});
    backend_->run(
        ops::Norm{.x = arrays_.of({static_cast<std::int64_t>(values.size())}, values), .y = y});
    return arrays_.floats(y)[0];
  }

  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

TEST_F(Optimiser, ZeroClearsTensorsOfAnyDtype) {
  const Tensor floats = arrays_.of({2, 3}, Floats(6, 1.0F));
  const Tensor integers = arrays_.of({3}, Integers(3, 1));
  backend_->run(ops::Zero{.x = floats.rows(1, 2)});
  backend_->run(ops::Zero{.x = integers});
  EXPECT_EQ(arrays_.floats(floats), (Floats{1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(arrays_.integers(integers), Integers(3));
}

// --- norm ---

TEST_F(Optimiser, NormIsTheRootOfTheSumOfSquares) {
  EXPECT_EQ(norm_of({3, -4}), 5);
  EXPECT_EQ(norm_of({}), 0);
  for (const std::int64_t n : {1, 15, 4096, 4097, 300'001}) {
    const Floats values = random_.floats(n);
    double squares = 0;
    for (const float each : values) squares += double{each} * each;
    EXPECT_NEAR(norm_of(values), std::sqrt(squares), 1e-6 * std::sqrt(squares)) << n;
  }
}

TEST_F(Optimiser, NormOfManyValuesLosesNoDigits) {
  constexpr std::int64_t n = 1 << 22;  // a sum in f32 would stop at 2^24
  EXPECT_FLOAT_EQ(norm_of(Floats(n, 3.0F)), 3 * 2048);
}

TEST_F(Optimiser, NormShowsNaNAndInfinity) {
  Floats values = random_.floats(9001);
  values[8999] = std::numeric_limits<float>::infinity();
  EXPECT_TRUE(std::isinf(norm_of(values)));
  values[5000] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_TRUE(std::isnan(norm_of(values)));
}

TEST(NormThreads, DoNotChangeABit) {
  Random random(2);
  const Floats values = random.floats(200'003);
  Floats norms;
  for (const int threads : {1, 2, 3, 5}) {
    const auto backend = make_cpu_backend({.threads = threads});
    DeviceArrays arrays(*backend);
    const Tensor y = arrays.empty({1});
    backend->run(ops::Norm{.x = arrays.of({200'003}, values), .y = y});
    norms.push_back(arrays.floats(y)[0]);
  }
  EXPECT_EQ(norms, Floats(4, norms[0]));
}

// --- adamw ---

/// Steps with new gradients each, on the backend and by the definition.
void expect_adamw(Backend& backend, AdamwOptions options, std::int64_t n, float norm) {
  DeviceArrays arrays(backend);
  Random random(4);
  const Floats start = random.floats(n);
  std::vector<AdamwValue> expected;
  for (const float each : start) expected.push_back({each, 0, 0});
  const Floats zeros(static_cast<std::size_t>(n));
  const Tensor weight = arrays.of({n}, start);
  const Tensor first = arrays.of({n}, zeros), second = arrays.of({n}, zeros);
  for (options.step = 1; options.step <= 3; ++options.step) {
    const Floats gradient = random.floats(n, 2);
    backend.run(ops::Adamw{.options = options,
                           .gradient = arrays.of({n}, gradient),
                           .norm = arrays.of({1}, Floats{norm}),
                           .weight = weight,
                           .first_moment = first,
                           .second_moment = second});
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      expected[i] = adamw_oracle(options, gradient[i], norm, expected[i]);
    }
  }
  Doubles weights, firsts, seconds;
  for (const AdamwValue& each : expected) {
    weights.push_back(each.weight);
    firsts.push_back(each.first_moment);
    seconds.push_back(each.second_moment);
  }
  EXPECT_LT(relative_error(arrays.floats(weight), weights), 1e-6);
  EXPECT_LT(relative_error(arrays.floats(first), firsts), 1e-6);
  EXPECT_LT(relative_error(arrays.floats(second), seconds), 1e-6);
}

TEST_F(Optimiser, AdamwDoesWhatItsDefinitionSays) {
  AdamwOptions options;
  options.lr = 0.1;
  for (const std::int64_t n : {1, 21, 40'001}) {
    SCOPED_TRACE(n);
    expect_adamw(*backend_, options, n, 1);
  }
  options.beta1 = 0.5;
  options.beta2 = 0.9;
  options.eps = 0.3;
  options.weight_decay = 0.4;
  expect_adamw(*backend_, options, 21, 1);
}

TEST_F(Optimiser, AdamwClipsWhereTheNormIsLarger) {
  AdamwOptions options;
  options.lr = 0.1;
  options.eps = 0.3;  // the step depends on the size of the gradient
  options.max_norm = 2;
  expect_adamw(*backend_, options, 21, 7);
  expect_adamw(*backend_, options, 21, 1);
}

TEST_F(Optimiser, AdamwDecaysTheFirstValuesAlone) {
  AdamwOptions options;
  options.lr = 0.5;
  options.weight_decay = 0.5;
  constexpr std::int64_t n = 40'003;
  for (const std::int64_t decayed : {0, 1, 20'001, 40'003}) {
    options.decayed = decayed;
    const Tensor weight = arrays_.filled({n}, 4);
    const Tensor zeros = arrays_.filled({n}, 0);
    backend_->run(ops::Adamw{.options = options,
                             .gradient = zeros,
                             .norm = arrays_.of({1}, Floats{0}),
                             .weight = weight,
                             .first_moment = arrays_.filled({n}, 0),
                             .second_moment = arrays_.filled({n}, 0)});
    Floats expected(n, 4.0F);
    std::fill_n(expected.begin(), decayed, 3.0F);
    EXPECT_EQ(arrays_.floats(weight), expected) << decayed;
  }
}

TEST_F(Optimiser, AdamwOfAZeroGradientOnlyDecays) {
  AdamwOptions options;
  options.lr = 0.5;
  options.weight_decay = 0.5;
  options.max_norm = 1;
  const Tensor weight = arrays_.of({3}, Floats{1, 2, -4});
  const Tensor first = arrays_.of({3}, Floats(3)), second = arrays_.of({3}, Floats(3));
  backend_->run(ops::Adamw{.options = options,
                           .gradient = arrays_.of({3}, Floats(3)),
                           .norm = arrays_.of({1}, Floats{0}),
                           .weight = weight,
                           .first_moment = first,
                           .second_moment = second});
  EXPECT_EQ(arrays_.floats(weight), (Floats{0.75, 1.5, -3}));
  EXPECT_EQ(arrays_.floats(first), Floats(3));
  EXPECT_EQ(arrays_.floats(second), Floats(3));
}

}  // namespace
}  // namespace gist::test
