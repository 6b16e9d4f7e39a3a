// Each SIMD target that this processor has gives the oracle's results, not only the best one.
#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cmath>

#include "tests/kernels/attention_problem.h"

namespace gist::test {
namespace {

class SimdTarget : public testing::TestWithParam<std::int64_t> {
 protected:
  void SetUp() override { hwy::SetSupportedTargetsForTest(GetParam()); }
  void TearDown() override { hwy::SetSupportedTargetsForTest(0); }

  std::unique_ptr<Backend> backend_ = make_cpu_backend({.threads = 2});
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

TEST_P(SimdTarget, Attends) {
  for (const std::int64_t dim : {7, 64, 80}) {
    for (const float cap : {0.0F, 5.0F}) {
      AttentionProblem p;
      p.heads = 6;
      p.kv_heads = 2;
      p.key_dim = dim;
      p.value_dim = dim + 16;
      p.spec.soft_cap = cap;
      add_row(p, 70, 0, 70, causal);
      add_row(p, 1, 600, 601, causal);
      add_row(p, 2, 40, 42, [](std::int32_t j) { return Interval{j, j < 20 ? 41 : forever}; });
      fill(p, random_);
      EXPECT_LT(relative_error(attend(*backend_, p), attention_oracle(p)), 2e-6) << dim;
    }
  }
}

TEST_P(SimdTarget, NormalisesGatesAndCaps) {
  constexpr std::int64_t d = 77;
  const Floats x = random_.floats(d, 4);
  double squares = 0;
  for (const float each : x) squares += double{each} * each;
  Doubles normal, gated, capped;
  for (const float each : x) {
    normal.push_back(each / std::sqrt(squares / d + 1e-6));
    gated.push_back(each / (1 + std::exp(-double{each})) * each);
    capped.push_back(scaled_and_capped(each, 2, 3));
  }
  const Tensor in = arrays_.of({1, d}, x);
  const Tensor out = arrays_.empty({1, d});
  backend_->rms_norm(in, arrays_.of({d}, Floats(d, 1.0F)), 1e-6F, out);
  EXPECT_LT(relative_error(arrays_.floats(out), normal), 1e-6);
  backend_->gated_activation(Activation::silu, in, in, out);
  EXPECT_LT(relative_error(arrays_.floats(out), gated), 1e-6);
  backend_->copy(in, out);
  backend_->scale_and_cap(out, 2, 3);
  EXPECT_LT(relative_error(arrays_.floats(out), capped), 1e-6);
}

TEST_P(SimdTarget, TakesCrossEntropy) {
  constexpr std::int64_t m = 3, d = 8, vocabulary = 53;
  const Floats hidden = random_.floats(m * d);
  const Floats head = random_.floats(vocabulary * d);
  const Integers labels = {0, 52, 7};
  const auto packed = backend_->pack(host_tensor({vocabulary, d}, head));
  const Tensor loss = arrays_.empty({m});
  const Tensor best = arrays_.empty(Dtype::i32, {m});
  backend_->linear_cross_entropy(arrays_.of({m, d}, hidden), *packed, {}, 1, 0,
                                 arrays_.of({m}, labels), loss, best);
  const CrossEntropy expected =
      cross_entropy_oracle(gemm_oracle(hidden, head, {}, m, vocabulary, d), labels, 1, 0);
  EXPECT_LT(relative_error(arrays_.floats(loss), expected.loss), 1e-6);
  EXPECT_EQ(arrays_.integers(best), expected.best);
}

std::vector<std::int64_t> targets_here() {
  std::vector<std::int64_t> targets;
  for (std::int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
    targets.push_back(left & -left);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(Here, SimdTarget, testing::ValuesIn(targets_here()),
                         [](const auto& target) { return hwy::TargetName(target.param); });

}  // namespace
}  // namespace gist::test
