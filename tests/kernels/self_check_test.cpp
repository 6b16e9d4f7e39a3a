#include "kernels/self_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kernels/device_arrays.h"

namespace gist::test {
namespace {

TEST(SelfCheck, PassesWhereTheSameIsComputed) {
  const auto oracle = make_cpu_backend({.threads = 1});
  const auto device = backend_under_test(Dtype::f32);
  EXPECT_EQ(self_check(*device, *oracle, 1e-4F), "");
  if (const auto rounding = backend_under_test(Dtype::bf16)) {
    EXPECT_EQ(self_check(*rounding, *oracle, 3e-2F), "");
  }
}

TEST(SelfCheck, NamesTheOperationThatDiffers) {
  const auto oracle = make_cpu_backend({.threads = 1});
  const auto rounding = backend_under_test(Dtype::bf16);
  if (rounding == nullptr) GTEST_SKIP() << "no bf16 here";
  EXPECT_THAT(self_check(*rounding, *oracle, 1e-5F), testing::StartsWith("gemm computes "));
}

}  // namespace
}  // namespace gist::test
