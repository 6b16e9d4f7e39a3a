// Gradients of matrix products by input, weight and bias, against central differences, and products
// with weights that stand where they are.
#include <gtest/gtest.h>

#include <utility>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class GemmGradient : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

struct Sizes {
  std::int64_t m, n, k;
};
constexpr Sizes gemm_sizes[] = {{1, 1, 1}, {7, 13, 17}, {33, 5, 70}, {64, 32, 16}};

TEST_F(GemmGradient, ByItsInput) {
  for (const auto& [m, n, k] : gemm_sizes) {
    const Floats x = random_.floats(m * k), w = random_.floats(n * k), dy = random_.floats(m * n);
    const Doubles expected = numerical_gradient(x, dy, [&, m = m, n = n, k = k](const auto& at) {
      return gemm_oracle(at, doubles(w), {}, m, n, k);
    });
    const Tensor gradient = arrays_.of({m, n}, dy), weight = arrays_.of({n, k}, w);
    const Tensor dx = arrays_.filled({m, k}, 99);
    backend_->run(ops::GemmInputGradient{.dy = gradient, .w = weight, .dx = dx});
    const Floats overwritten = arrays_.floats(dx);
    EXPECT_LT(relative_l2(overwritten, expected), gradient_tolerance) << m;
    backend_->run(
        ops::GemmInputGradient{.dy = gradient, .w = weight, .accumulate = true, .dx = dx});
    EXPECT_LT(relative_l2(difference(arrays_.floats(dx), overwritten), expected),
              gradient_tolerance)
        << m;
  }
}

TEST_F(GemmGradient, ByItsWeightIsAdded) {
  for (const auto& [m, n, k] : gemm_sizes) {
    const Floats x = random_.floats(m * k), w = random_.floats(n * k), dy = random_.floats(m * n);
    const Floats bias = random_.floats(n);
    const Floats w_before = random_.floats(n * k), b_before = random_.floats(n);
    const Tensor dw = arrays_.of({n, k}, w_before), db = arrays_.of({n}, b_before);
    const Tensor gradient = arrays_.of({m, n}, dy), input = arrays_.of({m, k}, x);
    backend_->run(ops::GemmWeightGradient{.dy = gradient, .x = input, .dw = dw, .dbias = db});
    const auto by_weight = numerical_gradient(w, dy, [&, m = m, n = n, k = k](const auto& at) {
      return gemm_oracle(doubles(x), at, {}, m, n, k);
    });
    const auto by_bias = numerical_gradient(bias, dy, [&, m = m, n = n, k = k](const auto& at) {
      return gemm_oracle(doubles(x), doubles(w), at, m, n, k);
    });
    const Floats first = arrays_.floats(dw);
    EXPECT_LT(relative_l2(difference(arrays_.floats(dw), w_before), by_weight), gradient_tolerance)
        << m;
    EXPECT_LT(relative_l2(difference(arrays_.floats(db), b_before), by_bias), gradient_tolerance)
        << m;
    const Floats bias_gradient = arrays_.floats(db);
    backend_->run(ops::GemmWeightGradient{.dy = gradient, .x = input, .dw = dw});
    EXPECT_LT(relative_l2(difference(arrays_.floats(dw), first), by_weight), gradient_tolerance)
        << m << ", without bias";
    EXPECT_EQ(arrays_.floats(db), bias_gradient);
  }
}

TEST_F(GemmGradient, ByABiasOfManyRowsAndColumns) {
  constexpr std::int64_t m = 501, n = 1003;
  const Floats dy = random_.floats(m * n);
  const Tensor db = arrays_.of({n}, Floats(n)), dw = arrays_.of({n, 1}, Floats(n));
  backend_->run(ops::GemmWeightGradient{.dy = arrays_.of({m, n}, dy),
                                        .x = arrays_.of({m, 1}, Floats(m, 1.0F)),
                                        .dw = dw,
                                        .dbias = db});
  const Doubles sums = gemm_oracle(Floats(m, 1.0F), transposed(dy, m, n), {}, 1, n, m);
  EXPECT_LT(relative_l2(arrays_.floats(db), sums), gradient_tolerance);
  EXPECT_LT(relative_l2(arrays_.floats(dw), sums), gradient_tolerance);
}

TEST_F(GemmGradient, OfNoColumnsIsZero) {
  const Tensor dx = arrays_.filled({2, 4}, 99);
  backend_->run(ops::GemmInputGradient{
      .dy = arrays_.empty({2, 0}), .w = arrays_.empty({0, 4}), .accumulate = true, .dx = dx});
  EXPECT_EQ(arrays_.floats(dx), Floats(8, 99.0F));
  backend_->run(
      ops::GemmInputGradient{.dy = arrays_.empty({2, 0}), .w = arrays_.empty({0, 4}), .dx = dx});
  EXPECT_EQ(arrays_.floats(dx), Floats(8));
}

TEST_F(GemmGradient, OfNoRowsIsNothing) {
  const Floats before = random_.floats(12);
  const Tensor none = arrays_.empty({0, 4}), weight = arrays_.of({3, 4}, before);
  const Tensor bias = arrays_.filled({3}, 2);
  backend_->run(ops::GemmInputGradient{.dy = arrays_.empty({0, 3}), .w = weight, .dx = none});
  backend_->run(
      ops::GemmWeightGradient{.dy = arrays_.empty({0, 3}), .x = none, .dw = weight, .dbias = bias});
  EXPECT_EQ(arrays_.floats(weight), before);
  EXPECT_EQ(arrays_.floats(bias), Floats(3, 2.0F));
}

TEST_F(GemmGradient, APlainWeightIsReadAsItIsNow) {
  constexpr std::int64_t m = 9, n = 7, k = 11;
  const Floats x = random_.floats(m * k), bias = random_.floats(n);
  const Tensor weight = arrays_.of({n, k}, random_.floats(n * k));
  const auto plain = backend_->plain(weight);
  EXPECT_EQ(plain->n(), n);
  EXPECT_EQ(plain->k(), k);
  const Floats now = random_.floats(n * k);
  backend_->upload(weight, now.data());
  const Tensor y = arrays_.filled({m, n}, 99);
  for (const bool with_bias : {false, true}) {
    backend_->run(ops::Gemm{.x = arrays_.of({m, k}, x),
                            .w = *plain,
                            .bias = with_bias ? arrays_.of({n}, bias) : Tensor{},
                            .y = y});
    EXPECT_LT(relative_error(arrays_.floats(y),
                             gemm_oracle(x, now, with_bias ? bias : Floats{}, m, n, k)),
              1e-6);
  }
}

TEST(Bf16Products, HaveTheErrorOfPlainRounding) {
  const auto backend = backend_under_test(Dtype::bf16);
  if (backend == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  DeviceArrays arrays(*backend);
  Random random(1);
  for (const auto& [m, n, k] : gemm_sizes) {
    const Floats x = random.floats(m * k), w = random.floats(n * k), dy = random.floats(m * n);
    const Tensor gradient = arrays.of({m, n}, dy);
    const auto expect_error = [&](const Tensor& found, const Floats& a, const Floats& b,
                                  std::int64_t rows, std::int64_t columns, std::int64_t inner) {
      const Doubles exact = gemm_oracle(a, b, {}, rows, columns, inner);
      const Floats plain = plain_bf16_gemm(a, b, {}, rows, columns, inner);
      EXPECT_LE(relative_l2(arrays.floats(found), exact), 2 * relative_l2(plain, exact)) << rows;
      EXPECT_LT(relative_l2(arrays.floats(found), doubles(plain)), gradient_tolerance)
          << "factors are bf16";
    };
    const Tensor y = arrays.empty({m, n}), weight = arrays.of({n, k}, w);
    backend->run(ops::Gemm{.x = arrays.of({m, k}, x), .w = *backend->plain(weight), .y = y});
    expect_error(y, x, w, m, n, k);
    const Tensor dx = arrays.empty({m, k});
    backend->run(ops::GemmInputGradient{.dy = gradient, .w = weight, .dx = dx});
    expect_error(dx, dy, transposed(w, n, k), m, k, n);
    const Tensor dw = arrays.of({n, k}, Floats(w.size()));
    backend->run(ops::GemmWeightGradient{.dy = gradient, .x = arrays.of({m, k}, x), .dw = dw});
    expect_error(dw, transposed(dy, m, n), transposed(x, m, k), n, k, m);

    const Floats once = arrays.floats(dx);
    backend->run(ops::GemmInputGradient{.dy = gradient, .w = weight, .accumulate = true, .dx = dx});
    Doubles twice;
    for (const float each : once) twice.push_back(2.0 * each);
    EXPECT_LT(relative_l2(arrays.floats(dx), twice), gradient_tolerance) << "sums are f32";
  }
}

TEST(Bf16Products, AreTheSameOfAWeightThatStandsRounded) {
  const auto backend = backend_under_test(Dtype::bf16);
  if (backend == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  DeviceArrays arrays(*backend);
  Random random(2);
  for (const auto& [m, n, k] : gemm_sizes) {
    const Floats w = random.floats(n * k);
    std::vector<std::uint16_t> rounded;
    for (const float value : w) rounded.push_back(f32_to_bf16(value));
    const Buffer memory = backend->allocate(rounded.size() * sizeof(std::uint16_t));
    const Tensor in_bf16{memory.data(), Dtype::bf16, {n, k}};
    backend->upload(in_bf16, rounded.data());
    const Tensor x = arrays.of({m, k}, random.floats(m * k));
    const Tensor dy = arrays.of({m, n}, random.floats(m * n));
    const Tensor y = arrays.empty({m, n}), dx = arrays.empty({m, k});
    const auto products = [&](const Tensor& weight) {
      backend->run(ops::Gemm{.x = x, .w = *backend->plain(weight), .y = y});
      backend->run(ops::GemmInputGradient{.dy = dy, .w = weight, .dx = dx});
      return std::pair(arrays.floats(y), arrays.floats(dx));
    };
    EXPECT_EQ(products(in_bf16), products(arrays.of({n, k}, w))) << m << " " << n << " " << k;
  }
}

TEST_F(GemmGradient, AWeightInAnotherDtypeThanTheProductsIsRefused) {
  std::uint16_t values[6] = {};
  EXPECT_THROW((void)backend_->plain({values, Dtype::bf16, {2, 3}}), Error);
}

}  // namespace
}  // namespace gist::test
