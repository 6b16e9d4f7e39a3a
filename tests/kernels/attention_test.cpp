#include <gtest/gtest.h>

#include <cstring>

#include "tests/kernels/biased_attention.h"

namespace gist::test {
namespace {

class Attention : public testing::TestWithParam<AttentionDims> {
 protected:
  AttentionProblem problem() const { return problem_of(GetParam()); }
  void expect_equals_oracle(AttentionProblem p) {
    Random random(1);
    fill(p, random);
    EXPECT_LT(relative_error(attend(*backend_, p), attention_oracle(p)), 2e-6);
  }
  std::unique_ptr<Backend> backend_ = backend_under_test();
};

TEST_P(Attention, IsCausalInOneRow) {
  AttentionProblem p = problem();
  add_row(p, 150, 0, 150, causal);
  expect_equals_oracle(p);
}

TEST_P(Attention, HidesAPromptBehindItsGist) {
  AttentionProblem p = problem();
  add_row(p, 190, 0, 190, [](std::int32_t j) { return Interval{j, j < 100 ? 102 : forever}; });
  expect_equals_oracle(p);
}

TEST_P(Attention, MixesPrefillAndDecodeRows) {
  AttentionProblem p = problem();
  add_row(p, 70, 0, 70, causal);
  add_row(p, 1, 76, 77, causal);
  add_row(p, 1, 0, 1, causal);
  add_row(p, 5, 20, 25, causal);
  add_row(p, 0, 0, 4, causal);        // no query
  add_row(p, 3, 0, 0, causal);        // no key
  add_row(p, 1, 1300, 1301, causal);  // keys are split
  add_row(p, 2, 600, 602, causal);
  expect_equals_oracle(p);
}

TEST_P(Attention, TakesAnyIntervals) {
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
    Dims, Attention,
    testing::Values(AttentionDims{1, 1, 1, 1, 0}, AttentionDims{8, 4, 8, 8, 0},
                    AttentionDims{4, 2, 32, 32, 0}, AttentionDims{2, 2, 64, 64, 0},
                    AttentionDims{4, 1, 96, 96, 0}, AttentionDims{6, 2, 128, 128, 0},
                    AttentionDims{2, 1, 256, 256, 0}, AttentionDims{3, 1, 13, 21, 0},
                    AttentionDims{5, 5, 40, 17, 0}, AttentionDims{20, 1, 16, 24, 0},
                    AttentionDims{130, 1, 4, 4, 0}, AttentionDims{4, 2, 32, 32, 5}));

class AttentionRules : public testing::TestWithParam<Dtype> {
 protected:
  void SetUp() override {
    if (backend_ == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  }
  void expect_equals_oracle(const AttentionProblem& p, double f32_tolerance) {
    const Floats y = attend(*backend_, p);
    const Doubles expected = attention_oracle(p);
    if (GetParam() == Dtype::f32) {
      EXPECT_LT(relative_error(y, expected), f32_tolerance);
    } else {
      expect_as_exact_as_plain(y, expected, plain_bf16_attention(unbiased(p), Floats(y.size())).y);
    }
  }
  std::unique_ptr<Backend> backend_ = backend_under_test(GetParam());
};

TEST_P(AttentionRules, AQueryThatSeesNoKeyYieldsZeros) {
  AttentionProblem p;
  add_row(p, 3, 0, 2, [](std::int32_t) { return Interval{1, 2}; });
  Random random(1);
  fill(p, random);
  const Floats y = attend(*backend_, p);
  for (std::size_t i = 0; i < 8; ++i) {
    EXPECT_EQ(y[i], 0);
    EXPECT_NE(y[8 + i], 0);
    EXPECT_EQ(y[16 + i], 0);
  }
}

TEST_P(AttentionRules, AKeyMayBeListedTwice) {
  AttentionProblem p;
  add_row(p, 4, 0, 6, causal);
  Random random(1);
  fill(p, random);
  p.slot[5] = p.slot[0];
  expect_equals_oracle(p, 2e-6);
}

TEST_P(AttentionRules, LargeScoresDoNotOverflow) {
  AttentionProblem p;
  add_row(p, 70, 0, 70, causal);
  Random random(1);
  fill(p, random);
  p.spec.scale = 100;
  // Rounding of scores of about 1000 moves weights by about 1e-4.
  expect_equals_oracle(p, 2e-3);
}

TEST_P(AttentionRules, TheOutputMayBeTheQueries) {
  AttentionProblem p;
  p.heads = 4;
  p.kv_heads = 2;
  add_row(p, 150, 0, 150, causal);
  add_row(p, 1, 700, 701, causal);
  Random random(1);
  fill(p, random);
  DeviceArrays arrays(*backend_);
  const AttentionTensors t = upload(p, arrays);
  backend_->run(ops::Attention{.q = t.q,
                               .keys = t.keys,
                               .values = t.values,
                               .visible = t.visible,
                               .spec = p.spec,
                               .y = t.q});
  EXPECT_EQ(arrays.floats(t.q), attend(*backend_, p));
}

TEST_P(AttentionRules, ARowGivesTheSameBitsAloneAndOnAnyNumberOfThreads) {
  AttentionProblem alone;
  alone.heads = 4;
  alone.kv_heads = 2;
  add_row(alone, 1, 900, 901, causal);
  Random random(1);
  fill(alone, random);
  AttentionProblem together = alone;
  for (int i = 0; i < 3; ++i) {  // the same row again, and a longer one
    AttentionRow row = alone.rows[0];
    row.query_begin += i + 1;
    row.query_end += i + 1;
    together.rows.push_back(row);
    together.q.insert(together.q.end(), alone.q.begin(), alone.q.end());
    together.queries += 1;
  }
  const Floats expected = attend(*backend_, alone);
  const auto single = backend_under_test(GetParam(), 1);
  for (Backend* backend : {backend_.get(), single.get()}) {
    const Floats y = attend(*backend, together);
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(std::memcmp(y.data() + i * expected.size(), expected.data(),
                            expected.size() * sizeof(float)),
                0);
    }
  }
}

TEST_P(AttentionRules, EntriesOfNoRowChangeNoBit) {
  AttentionProblem p;
  p.heads = 4;
  p.kv_heads = 2;
  add_row(p, 1, 900, 901, causal);
  add_row(p, 1, 40, 41, causal);
  Random random(1);
  fill(p, random);
  AttentionProblem padded = p;
  for (auto* list : {&padded.slot, &padded.begin, &padded.end}) list->resize(2048);
  EXPECT_EQ(attend(*backend_, padded), attend(*backend_, p));
}

TEST_P(AttentionRules, SlotsAndRowsMustLieWithinTheTensors) {
  AttentionProblem p;
  add_row(p, 2, 0, 2, causal);
  Random random(1);
  fill(p, random);
  AttentionProblem bad_slot = p;
  bad_slot.slot[1] = static_cast<std::int32_t>(p.slots);
  EXPECT_THROW(attend(*backend_, bad_slot), Error);
  AttentionProblem bad_row = p;
  bad_row.rows[0].key_end = 3;
  EXPECT_THROW(attend(*backend_, bad_row), Error);
  bad_row = p;
  bad_row.rows[0].query_end = 3;
  EXPECT_THROW(attend(*backend_, bad_row), Error);
}

INSTANTIATE_TEST_SUITE_P(, AttentionRules, testing::Values(Dtype::f32, Dtype::bf16),
                         [](const auto& suite) { return std::string(name_of(suite.param)); });

}  // namespace
}  // namespace gist::test
