// Products that several threads share: cut along rows, along columns, along columns of one row, and
// of sizes that no cut divides.
#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.h"
#include "kernels/error.h"
#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct Product {
  std::int64_t m, n, k;
  bool bias;
};

Floats transposed(const Floats& x, std::int64_t rows, std::int64_t columns) {
  Floats result(x.size());
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      result[static_cast<std::size_t>(j * rows + i)] = x[static_cast<std::size_t>(i * columns + j)];
    }
  }
  return result;
}

class SlicedGemm : public testing::TestWithParam<Product> {
 protected:
  SlicedGemm() {
    Random random(1);
    x_ = random.floats(p_.m * p_.k);
    w_ = random.floats(p_.n * p_.k);
    dy_ = random.floats(p_.m * p_.n);
    if (p_.bias) bias_ = random.floats(p_.n);
    y_ = gemm_oracle(x_, w_, bias_, p_.m, p_.n, p_.k);
    dx_ = gemm_oracle(dy_, transposed(w_, p_.n, p_.k), {}, p_.m, p_.k, p_.n);
    dw_ =
        gemm_oracle(transposed(dy_, p_.m, p_.n), transposed(x_, p_.m, p_.k), {}, p_.n, p_.k, p_.m);
  }

  void expect_products(Backend& backend, double tolerance) const {
    DeviceArrays arrays(backend);
    const Tensor x = arrays.of({p_.m, p_.k}, x_), w = arrays.of({p_.n, p_.k}, w_);
    const Tensor dy = arrays.of({p_.m, p_.n}, dy_), y = arrays.empty({p_.m, p_.n});
    const Tensor bias = p_.bias ? arrays.of({p_.n}, bias_) : Tensor{};
    for (const bool packed : {true, false}) {
      const auto matrix = packed ? backend.pack(host_tensor({p_.n, p_.k}, w_)) : backend.plain(w);
      backend.run(ops::Gemm{.x = x, .w = *matrix, .bias = bias, .y = y});
      EXPECT_LE(relative_error(arrays.floats(y), y_), tolerance) << packed;
    }
    const Tensor dx = arrays.empty({p_.m, p_.k}), dw = arrays.of({p_.n, p_.k}, Floats(w_.size()));
    backend.run(ops::GemmInputGradient{.dy = dy, .w = w, .dx = dx});
    EXPECT_LE(relative_error(arrays.floats(dx), dx_), tolerance);
    backend.run(ops::GemmWeightGradient{.dy = dy, .x = x, .dw = dw});
    EXPECT_LE(relative_error(arrays.floats(dw), dw_), tolerance);
  }

  const Product p_ = GetParam();
  Floats x_, w_, dy_, bias_;
  Doubles y_, dx_, dw_;
};

TEST_P(SlicedGemm, AnyNumberOfThreadsGivesTheProduct) {
  for (const int threads : {1, 2, 3, 8}) {
    expect_products(*make_cpu_backend({.threads = threads}), 2e-6);
    try {
      expect_products(*make_cpu_backend({.threads = threads, .dtype = Dtype::bf16}), 2e-2);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::unavailable) << error.what();
    }
  }
}

// A slice of a wide weight has the shape of a narrow one, whose rows are shorter. For some number of
// rows the wide product is shared out and the narrow one is not.
TEST(SlicedWeights, AreNotTakenForWeightsOfTheirShape) {
  constexpr std::int64_t k = 128, narrow = 128;
  for (const int threads : {1, 2, 3}) {
    const auto backend = make_cpu_backend({.threads = threads});
    DeviceArrays arrays(*backend);
    Random random(2);
    for (const std::int64_t m : {4, 8, 12, 16, 20, 24, 28, 40, 64, 100}) {
      const Floats x = random.floats(m * k);
      const Tensor input = arrays.of({m, k}, x);
      for (const std::int64_t n : {narrow, threads * narrow, narrow}) {
        const Floats w = random.floats(n * k);
        const auto matrix = backend->pack(host_tensor({n, k}, w));
        const Tensor y = arrays.empty({m, n});
        backend->run(ops::Gemm{.x = input, .w = *matrix, .y = y});
        EXPECT_LE(relative_error(arrays.floats(y), gemm_oracle(x, w, {}, m, n, k)), 2e-6)
            << m << " rows, " << n << " columns, " << threads << " threads";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SlicedGemm,
                         testing::Values(Product{1, 1030, 700, true}, Product{40, 800, 512, true},
                                         Product{333, 130, 200, false},
                                         Product{1100, 70, 90, true}));

}  // namespace
}  // namespace gist::test
