#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/biased_attention.h"

namespace gist::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

Floats output_gradient(const AttentionProblem& p, Random& random) {
  return random.floats(p.queries * p.heads * p.value_dim);
}

/// Infinities must be where they are expected; the rest to 2e-6 of the largest.
void expect_log_sum_exp(const Floats& found, const AttentionProblem& p) {
  Doubles expected = log_sum_exp_oracle(p);
  ASSERT_EQ(found.size(), expected.size());
  Floats finite = found;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (expected[i] != -infinity) continue;
    EXPECT_EQ(found[i], -infinity) << i;
    finite[i] = 0;
    expected[i] = 0;
  }
  EXPECT_LT(relative_error(finite, expected), 2e-6);
}

void expect_gradients(const AttentionResult& found, const AttentionProblem& p, const Floats& dy) {
  const AttentionGradients expected = attention_backward_oracle(p, dy);
  EXPECT_LT(relative_l2(found.dq, expected.dq), 2e-5);
  EXPECT_LT(relative_l2(found.dkeys, expected.dkeys), 2e-5);
  EXPECT_LT(relative_l2(found.dvalues, expected.dvalues), 2e-5);
}

void expect_oracle(Backend& backend, AttentionProblem p) {
  Random random(1);
  fill(p, random);
  const Floats dy = output_gradient(p, random);
  const AttentionResult found = attend_and_back(backend, p, dy);
  expect_log_sum_exp(found.log_sum_exp, p);
  expect_gradients(found, p, dy);
}

class AttentionBackward : public testing::TestWithParam<AttentionDims> {
 protected:
  void expect_equals_oracle(AttentionProblem p) { expect_oracle(*backend_, std::move(p)); }
  AttentionProblem problem() const { return problem_of(GetParam()); }

 private:
  std::unique_ptr<Backend> backend_ = backend_under_test();
};

TEST_P(AttentionBackward, IsCausalInOneRow) {
  AttentionProblem p = problem();
  add_row(p, 150, 0, 150, causal);
  expect_equals_oracle(p);
}

TEST_P(AttentionBackward, HidesAPromptBehindItsGist) {
  AttentionProblem p = problem();
  add_row(p, 190, 0, 190, [](std::int32_t j) { return Interval{j, j < 100 ? 102 : forever}; });
  expect_equals_oracle(p);
}

TEST_P(AttentionBackward, SeesThroughAWindow) {
  AttentionProblem p = problem();
  add_row(p, 130, 0, 130, [](std::int32_t j) { return Interval{j, j + 20}; });
  expect_equals_oracle(p);
}

TEST_P(AttentionBackward, TakesRowsOfAnyLength) {
  AttentionProblem p = problem();
  for (const std::int32_t n : {35, 1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 113}) {
    add_row(p, n, 0, n, [n](std::int32_t j) { return Interval{j, j < n / 2 ? n / 2 + 1 : n}; });
  }
  add_row(p, 0, 0, 4, causal);  // no query
  add_row(p, 3, 0, 0, causal);  // no key
  add_row(p, 5, 20, 25, causal);
  add_row(p, 1, 600, 601, causal);  // the keys of the forward pass are split
  expect_equals_oracle(p);
}

TEST_P(AttentionBackward, TakesAnyIntervals) {
  AttentionProblem p = problem();
  Random random(7);
  const auto anywhere = [&](std::int32_t) {
    const std::int32_t begin = random.below(90);
    return Interval{begin, begin + random.below(40) - 5};  // some are empty
  };
  add_row(p, 80, 5, 200, anywhere);
  add_row(p, 1, 30, 700, anywhere);
  add_row(p, 40, 60, 33, anywhere);
  expect_equals_oracle(p);
}

INSTANTIATE_TEST_SUITE_P(
    Dims, AttentionBackward,
    testing::Values(AttentionDims{1, 1, 1, 1, 0}, AttentionDims{8, 4, 8, 8, 0},
                    AttentionDims{4, 4, 32, 32, 0}, AttentionDims{4, 2, 64, 64, 0},
                    AttentionDims{4, 1, 96, 96, 0}, AttentionDims{2, 1, 128, 128, 0},
                    AttentionDims{3, 1, 13, 21, 0}, AttentionDims{5, 5, 40, 17, 0},
                    AttentionDims{20, 1, 16, 24, 0}, AttentionDims{130, 1, 4, 4, 0},
                    AttentionDims{4, 2, 32, 32, 5}, AttentionDims{3, 3, 5, 34, 2}));

class AttentionBackwardRules : public testing::TestWithParam<Dtype> {
 protected:
  void SetUp() override {
    if (backend_ == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  }
  void expect_gradients(const AttentionResult& found, const AttentionProblem& p,
                        const Floats& dy) const {
    if (GetParam() == Dtype::f32) return test::expect_gradients(found, p, dy);
    const AttentionGradients expected = attention_backward_oracle(p, dy);
    const BiasedAttentionResult plain = plain_bf16_attention(unbiased(p), dy);
    expect_as_exact_as_plain(found.dq, expected.dq, plain.dq);
    expect_as_exact_as_plain(found.dkeys, expected.dkeys, plain.dkeys);
    expect_as_exact_as_plain(found.dvalues, expected.dvalues, plain.dvalues);
  }
  std::unique_ptr<Backend> backend_ = backend_under_test(GetParam());
  Random random_{1};
};

TEST_P(AttentionBackwardRules, AQueryThatSeesNoKeyHasNoGradient) {
  AttentionProblem p;
  add_row(p, 3, 0, 2, [](std::int32_t) { return Interval{1, 2}; });
  fill(p, random_);
  const AttentionResult found = attend_and_back(*backend_, p, output_gradient(p, random_));
  EXPECT_EQ(found.log_sum_exp[0], -infinity);
  EXPECT_TRUE(std::isfinite(found.log_sum_exp[1]));
  EXPECT_EQ(found.log_sum_exp[2], -infinity);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(found.dq[i], 0);
    EXPECT_NE(found.dq[8 + i], 0);
    EXPECT_EQ(found.dq[16 + i], 0);
  }
}

TEST_P(AttentionBackwardRules, WhatIsNotListedHasNoGradient) {
  AttentionProblem p;
  p.kv_heads = p.heads = 2;
  add_row(p, 40, 0, 40, causal);
  p.queries += 2;  // belong to no row
  fill(p, random_);
  p.end[3] = 0;  // listed, but hidden from all
  const Floats dy = output_gradient(p, random_);
  const AttentionResult found = attend_and_back(*backend_, p, dy);
  expect_gradients(found, p, dy);
  const auto all_zero = [](const Floats& x, std::int64_t row, std::int64_t width) {
    const auto first = x.begin() + row * width;
    return std::all_of(first, first + width, [](float each) { return each == 0; });
  };
  EXPECT_TRUE(all_zero(found.dq, 40, 16));
  EXPECT_TRUE(all_zero(found.dq, 41, 16));
  for (std::int32_t slot = 0; slot < p.slots; ++slot) {
    const auto entry = std::find(p.slot.begin(), p.slot.end(), slot);
    const bool visible = entry != p.slot.end() && entry != p.slot.begin() + 3;
    EXPECT_EQ(all_zero(found.dkeys, slot, 16), !visible) << slot;
    EXPECT_EQ(all_zero(found.dvalues, slot, 16), !visible) << slot;
  }
}

TEST_P(AttentionBackwardRules, AKeyThatIsListedTwiceGetsTheSum) {
  AttentionProblem p;
  add_row(p, 200, 0, 200, causal);
  fill(p, random_);
  p.slot[5] = p.slot[0];    // in one block
  p.slot[150] = p.slot[1];  // in another
  const Floats dy = output_gradient(p, random_);
  expect_gradients(attend_and_back(*backend_, p, dy), p, dy);
}

TEST_P(AttentionBackwardRules, TheScaleMayBeAnything) {
  for (const float scale : {-0.5F, 0.0F, 3.0F}) {
    AttentionProblem p;
    add_row(p, 50, 0, 50, causal);
    fill(p, random_);
    p.spec.scale = scale;
    const Floats dy = output_gradient(p, random_);
    expect_gradients(attend_and_back(*backend_, p, dy), p, dy);
  }
}

TEST_P(AttentionBackwardRules, LargeScoresDoNotOverflow) {
  AttentionProblem p;
  add_row(p, 70, 0, 70, causal);
  fill(p, random_);
  p.spec.scale = 100;
  const Floats dy = output_gradient(p, random_);
  const Floats found = attend_and_back(*backend_, p, dy).dvalues;
  const Doubles expected = attention_backward_oracle(p, dy).dvalues;
  if (GetParam() == Dtype::f32) {
    // Rounding of scores of about 1000 moves weights by about 1e-4.
    EXPECT_LT(relative_l2(found, expected), 2e-3);
  } else {
    expect_as_exact_as_plain(found, expected, plain_bf16_attention(unbiased(p), dy).dvalues);
  }
}

TEST_P(AttentionBackwardRules, GradientsMayOverwriteTheQueriesAndTheOutput) {
  AttentionProblem p = problem_of({4, 2, 8, 8, 0});
  add_row(p, 150, 0, 150, causal);
  add_row(p, 35, 0, 35, causal);
  fill(p, random_);
  const Floats dy = output_gradient(p, random_);
  const AttentionResult expected = attend_and_back(*backend_, p, dy);
  for (const bool over_queries : {true, false}) {
    DeviceArrays arrays(*backend_);
    const AttentionTensors t = upload(p, arrays);
    const Tensor log_sum_exp = arrays.of({p.queries, p.heads}, expected.log_sum_exp);
    const Tensor y = arrays.of(t.y.shape, expected.y);
    const Tensor dq = over_queries ? t.q : y;
    backend_->run(ops::AttentionBackward{.forward = {.q = t.q,
                                                     .keys = t.keys,
                                                     .values = t.values,
                                                     .visible = t.visible,
                                                     .spec = p.spec,
                                                     .y = y,
                                                     .log_sum_exp = log_sum_exp},
                                         .dy = arrays.of(y.shape, dy),
                                         .dq = dq,
                                         .dkeys = arrays.empty(t.keys.shape),
                                         .dvalues = arrays.empty(t.values.shape)});
    EXPECT_EQ(arrays.floats(dq), expected.dq);
  }
}

TEST_P(AttentionBackwardRules, GivesTheSameBitsAgainAndOnAnyNumberOfThreads) {
  AttentionProblem p = problem_of({4, 2, 24, 40, 0});
  for (const std::int32_t n : {300, 40, 1, 90, 35}) add_row(p, n, 0, n, causal);
  fill(p, random_);
  const Floats dy = output_gradient(p, random_);
  const AttentionResult expected = attend_and_back(*backend_, p, dy);
  const auto single = backend_under_test(GetParam(), 1);
  for (Backend* backend : {backend_.get(), single.get()}) {
    const AttentionResult found = attend_and_back(*backend, p, dy);
    EXPECT_EQ(found.y, expected.y);
    EXPECT_EQ(found.log_sum_exp, expected.log_sum_exp);
    EXPECT_EQ(found.dq, expected.dq);
    EXPECT_EQ(found.dkeys, expected.dkeys);
    EXPECT_EQ(found.dvalues, expected.dvalues);
  }
}

TEST(AttentionBackwardSplits, LogSumExpIsThatOfTheWholeRowWhereKeysAreSplit) {
  AttentionProblem p = problem_of({4, 2, 8, 8, 0});
  add_row(p, 3, 1298, 1301, causal);
  add_row(p, 2, 0, 1200, [](std::int32_t) { return Interval{1, 2}; });  // the first sees none
  add_row(p, 1, 0, 600, [](std::int32_t) { return Interval{0, 0}; });
  expect_oracle(*backend_under_test(), p);
}

INSTANTIATE_TEST_SUITE_P(, AttentionBackwardRules, testing::Values(Dtype::f32, Dtype::bf16),
                         [](const auto& suite) { return std::string(name_of(suite.param)); });

/// Inputs that a step of 2^-10 leaves exact.
void round_inputs(Floats& x) {
  for (float& each : x) each = std::round(each * 4096) / 4096;
}

/// The gradient of sum(dy * y) by each element of `input`, one of p's tensors.
Doubles finite_differences(AttentionProblem& p, const Floats& dy, Floats& input) {
  constexpr float step = 1.0F / 1024;
  const auto value = [&] {
    const Doubles y = attention_oracle(p);
    double sum = 0;
    for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * dy[i];
    return sum;
  };
  Doubles gradient;
  for (float& each : input) {
    const float before = each;
    each = before + step;
    const double above = value();
    each = before - step;
    const double below = value();
    each = before;
    gradient.push_back((above - below) / (2.0 * step));
  }
  return gradient;
}

/// The oracle itself is proven: all else is measured by it.
TEST(AttentionBackwardOracle, IsTheGradientOfTheForwardOracle) {
  for (const float cap : {0.0F, 1.5F}) {
    AttentionProblem p = problem_of({4, 2, 3, 2, cap});
    add_row(p, 7, 0, 7, [](std::int32_t j) { return Interval{j, j < 3 ? 5 : forever}; });
    add_row(p, 3, 2, 4, causal);
    Random random(3);
    fill(p, random);
    p.slot[6] = p.slot[0];
    for (Floats* x : {&p.q, &p.keys, &p.values}) round_inputs(*x);
    const Floats dy = output_gradient(p, random);
    const AttentionGradients gradients = attention_backward_oracle(p, dy);
    const auto error = [&](const Doubles& gradient, Floats& input) {
      const Doubles expected = finite_differences(p, dy, input);
      return relative_l2(Floats(gradient.begin(), gradient.end()), expected);
    };
    EXPECT_LT(error(gradients.dq, p.q), 2e-6);
    EXPECT_LT(error(gradients.dkeys, p.keys), 2e-6);
    EXPECT_LT(error(gradients.dvalues, p.values), 2e-6);
  }
}

}  // namespace
}  // namespace gist::test
