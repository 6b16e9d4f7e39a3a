#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/error.h"
#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct GemmCase {
  std::int64_t m, n, k;
  bool bias;
};

void PrintTo(const GemmCase& c, std::ostream* out) {
  *out << c.m << "x" << c.n << "x" << c.k << (c.bias ? " with bias" : "");
}

class Gemm : public testing::TestWithParam<std::tuple<GemmCase, Dtype>> {
 protected:
  void SetUp() override {
    backend_ = backend_under_test(std::get<Dtype>(GetParam()));
    if (backend_ == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  }
  std::unique_ptr<Backend> backend_;
};

TEST_P(Gemm, PacksNumbersOnlyAndSaysWhereThereIsNone) {
  const auto [c, dtype] = GetParam();
  Floats w(static_cast<std::size_t>(c.n * c.k), 1);
  w[static_cast<std::size_t>((c.n - 1) * c.k)] = std::numeric_limits<float>::infinity();
  w.back() = std::nanf("");
  try {
    backend_->pack(host_tensor({c.n, c.k}, w));
    ADD_FAILURE() << "packed";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    const std::string place = c.k == 1 ? "" : fmt::format("[{}, 0] is inf", c.n - 1);
    EXPECT_NE(std::string(error.what()).find(place), std::string::npos) << error.what();
  }
}

TEST_P(Gemm, EqualsTheOracle) {
  const auto [c, dtype] = GetParam();
  Random random(1);
  const Floats x = random.floats(c.m * c.k);
  const Floats w = random.floats(c.n * c.k);
  const Floats bias = c.bias ? random.floats(c.n) : Floats{};
  DeviceArrays arrays(*backend_);
  const auto packed = backend_->pack(host_tensor({c.n, c.k}, w));
  EXPECT_EQ(packed->n(), c.n);
  EXPECT_EQ(packed->k(), c.k);
  EXPECT_GE(packed->bytes(), static_cast<std::size_t>(c.n * c.k) * size_of(dtype));
  const Tensor y = arrays.empty({c.m, c.n});
  backend_->run(ops::Gemm{.x = arrays.of({c.m, c.k}, x),
                          .w = *packed,
                          .bias = c.bias ? arrays.of({c.n}, bias) : Tensor{},
                          .y = y});

  const Doubles expected = gemm_oracle(x, w, bias, c.m, c.n, c.k);
  const double error = relative_error(arrays.floats(y), expected);
  if (dtype == Dtype::f32) {
    EXPECT_LT(error, 1e-6);
  } else {
    const Floats plain = plain_bf16_gemm(x, w, bias, c.m, c.n, c.k);
    EXPECT_LE(error, 2 * relative_error(plain, expected));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Shapes, Gemm,
    testing::Combine(testing::Values(GemmCase{1, 1, 1, false}, GemmCase{1, 64, 64, false},
                                     GemmCase{1, 172, 64, true}, GemmCase{2, 512, 64, false},
                                     GemmCase{3, 17, 33, true}, GemmCase{7, 100, 5, false},
                                     GemmCase{8, 65, 127, true}, GemmCase{33, 31, 257, false},
                                     GemmCase{64, 129, 96, true}, GemmCase{65, 64, 172, false},
                                     GemmCase{1030, 40, 24, true}, GemmCase{0, 16, 16, false}),
                     testing::Values(Dtype::f32, Dtype::bf16)));

/// A weight as a file might hold it: any float dtype, at an odd address.
std::vector<std::byte> unaligned_copy(const Floats& values, Dtype dtype) {
  std::vector<std::byte> bytes(values.size() * size_of(dtype) + 1);
  convert_from_f32(values.data(), static_cast<std::int64_t>(values.size()), dtype,
                   bytes.data() + 1);
  return bytes;
}

TEST(Pack, TakesAnyFloatDtypeAtAnyAddress) {
  constexpr std::int64_t n = 70, k = 300, m = 5;
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  Random random(2);
  const Floats x = random.floats(m * k);
  const Tensor input = arrays.of({m, k}, x);
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const std::vector<std::byte> bytes = unaligned_copy(random.floats(n * k), dtype);
    Floats w(n * k);
    convert_to_f32(bytes.data() + 1, dtype, n * k, w.data());
    const auto packed = backend->pack({bytes.data() + 1, dtype, {n, k}});
    const Tensor y = arrays.empty({m, n});
    backend->run(ops::Gemm{.x = input, .w = *packed, .y = y});
    EXPECT_LT(relative_error(arrays.floats(y), gemm_oracle(x, w, {}, m, n, k)), 1e-6)
        << name_of(dtype);
  }
}

TEST(Pack, NeedsLittleMoreThanThePackedCopy) {
  constexpr std::int64_t n = 1024, k = 1024;
  const auto backend = backend_under_test();
  const Floats w(n * k, 1.0F);
  const auto packed = backend->pack(host_tensor({n, k}, w));
  EXPECT_LE(backend->memory().peak, packed->bytes() + packed->bytes() / 10);
  EXPECT_EQ(packed->bytes(), static_cast<std::size_t>(n * k) * sizeof(float));
}

TEST(GemmResult, IsTheSameBitsInEveryCall) {
  constexpr std::int64_t m = 67, n = 200, k = 301;
  Random random(3);
  const Floats x = random.floats(m * k);
  const Floats w = random.floats(n * k);
  Floats first;
  for (int run = 0; run < 3; ++run) {
    const auto backend = backend_under_test();
    DeviceArrays arrays(*backend);
    const auto packed = backend->pack(host_tensor({n, k}, w));
    const Tensor y = arrays.empty({m, n});
    backend->run(ops::Gemm{.x = arrays.of({m, k}, x), .w = *packed, .y = y});
    const Floats result = arrays.floats(y);
    if (run == 0) first = result;
    EXPECT_EQ(std::memcmp(first.data(), result.data(), first.size() * sizeof(float)), 0);
  }
}

TEST(GemmProducts, AreCompiledAnewAfterManyNumbersOfRows) {
  constexpr std::int64_t n = 24, k = 16, most = 300;  // more than are kept
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  Random random(4);
  const Floats x = random.floats(most * k);
  const Floats w = random.floats(n * k);
  const auto packed = backend->pack(host_tensor({n, k}, w));
  const Tensor input = arrays.of({most, k}, x);
  const Tensor y = arrays.empty({most, n});
  const Doubles expected = gemm_oracle(x, w, {}, most, n, k);
  for (int round = 0; round < 2; ++round) {
    for (std::int64_t m = 1; m <= most; ++m) {
      backend->run(ops::Gemm{.x = input.rows(0, m), .w = *packed, .y = y.rows(0, m)});
    }
    EXPECT_LT(relative_error(arrays.floats(y), expected), 1e-6);
  }
}

TEST(GemmWeight, OfAnotherBackendIsRefused) {
  class Foreign final : public Matrix {
    std::int64_t n() const override { return 2; }
    std::int64_t k() const override { return 2; }
    std::size_t bytes() const override { return 0; }
  };
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const Tensor x = arrays.of({1, 2}, Floats{1, 2});
  EXPECT_THROW(backend->run(ops::Gemm{.x = x, .w = Foreign(), .y = x}), Error);
}

TEST(CpuBackend, RefusesDtypesItCannotMultiplyIn) {
  EXPECT_THROW(make_cpu_backend({.dtype = Dtype::f16}), Error);
  EXPECT_THROW(make_cpu_backend({.threads = -1}), Error);
}

}  // namespace
}  // namespace gist::test
