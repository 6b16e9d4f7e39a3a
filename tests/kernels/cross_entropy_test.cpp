#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct LossCase {
  std::int64_t m, d, vocabulary;
  bool bias;
  float scale, soft_cap;
};

class LinearCrossEntropy : public testing::TestWithParam<std::tuple<LossCase, Dtype>> {};

TEST_P(LinearCrossEntropy, EqualsTheOracle) {
  const auto [c, dtype] = GetParam();
  const auto backend = backend_under_test(dtype);
  if (backend == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  DeviceArrays arrays(*backend);
  Random random(1);
  const Floats hidden = random.floats(c.m * c.d);
  const Floats head = random.floats(c.vocabulary * c.d, 0.3F);
  const Floats bias = c.bias ? random.floats(c.vocabulary) : Floats{};
  Integers labels;
  for (std::int64_t i = 0; i < c.m; ++i) labels.push_back(random.below(c.vocabulary));
  const auto packed = backend->pack(host_tensor({c.vocabulary, c.d}, head));
  const Tensor loss = arrays.empty({c.m});
  const Tensor best = arrays.empty(Dtype::i32, {c.m});
  backend->run(ops::LinearCrossEntropy{.hidden = arrays.of({c.m, c.d}, hidden),
                                       .head = *packed,
                                       .bias = c.bias ? arrays.of({c.vocabulary}, bias) : Tensor{},
                                       .scale = c.scale,
                                       .soft_cap = c.soft_cap,
                                       .labels = arrays.of({c.m}, labels),
                                       .loss = loss,
                                       .best = best});

  const Doubles logits = gemm_oracle(hidden, head, bias, c.m, c.vocabulary, c.d);
  const CrossEntropy expected = cross_entropy_oracle(logits, labels, {c.scale, c.soft_cap});
  const double error = relative_error(arrays.floats(loss), expected.loss);
  if (dtype == Dtype::f32) {
    EXPECT_LT(error, 1e-6);
    EXPECT_EQ(arrays.integers(best), expected.best);
    return;
  }
  const Floats plain = plain_bf16_gemm(hidden, head, bias, c.m, c.vocabulary, c.d);
  const CrossEntropy plain_result =
      cross_entropy_oracle({plain.begin(), plain.end()}, labels, {c.scale, c.soft_cap});
  const Floats plain_loss(plain_result.loss.begin(), plain_result.loss.end());
  EXPECT_LE(error, 2 * relative_error(plain_loss, expected.loss));
  EXPECT_EQ(arrays.integers(best), plain_result.best);
}

INSTANTIATE_TEST_SUITE_P(Shapes, LinearCrossEntropy,
                         testing::Combine(testing::Values(LossCase{3, 16, 50, false, 1, 0},
                                                          LossCase{5, 33, 129, true, 0.5F, 30},
                                                          LossCase{1, 8, 7, false, 2, 0},
                                                          LossCase{70, 12, 40001, false, 1,
                                                                   0}),  // more than a chunk
                                          testing::Values(Dtype::f32, Dtype::bf16)));

TEST(CrossEntropy, FindsTheFirstOfEqualLogits) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const Floats head = {1, 5, 5, 2};
  const auto packed = backend->pack(host_tensor({4, 1}, head));
  const Tensor loss = arrays.empty({1});
  const Tensor best = arrays.empty(Dtype::i32, {1});
  backend->run(ops::LinearCrossEntropy{.hidden = arrays.of({1, 1}, Floats{1}),
                                       .head = *packed,
                                       .labels = arrays.of({1}, Integers{0}),
                                       .loss = loss,
                                       .best = best});
  EXPECT_EQ(arrays.integers(best)[0], 1);
}

TEST(CrossEntropy, RefusesLabelsOutsideTheVocabulary) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const Floats head = {1, 5, 5, 2};
  const auto packed = backend->pack(host_tensor({4, 1}, head));
  const Tensor out = arrays.empty({1});
  const Tensor best = arrays.empty(Dtype::i32, {1});
  for (const std::int32_t label : {-1, 4}) {
    EXPECT_THROW(
        {
          backend->run(ops::LinearCrossEntropy{.hidden = arrays.of({1, 1}, Floats{1}),
                                               .head = *packed,
                                               .labels = arrays.of({1}, Integers{label}),
                                               .loss = out,
                                               .best = best});
          backend->synchronize();
        },
        Error);
  }
}

}  // namespace
}  // namespace gist::test
