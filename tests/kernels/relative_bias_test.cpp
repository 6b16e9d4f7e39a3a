#include "kernels/cpu/relative_bias.h"

#include <gtest/gtest.h>

#include <cmath>

#include "kernels/meta/meta_backend.h"
#include "tests/kernels/biased_attention.h"
#include "tests/kernels/simd_targets.h"

namespace gist::test {
namespace {

struct BiasDims {
  std::int64_t heads, kv_heads, key_dim, value_dim;
  float soft_cap;
  bool bidirectional;
};

void PrintTo(const BiasDims& d, std::ostream* out) {
  *out << d.heads << " heads on " << d.kv_heads << ", dims " << d.key_dim << " and " << d.value_dim
       << ", cap " << d.soft_cap << (d.bidirectional ? ", bidirectional" : "");
}

BiasedAttention problem_of(const BiasDims& d) {
  BiasedAttention a;
  a.p.heads = d.heads;
  a.p.kv_heads = d.kv_heads;
  a.p.key_dim = d.key_dim;
  a.p.value_dim = d.value_dim;
  a.p.spec.soft_cap = d.soft_cap;
  a.bidirectional = d.bidirectional;
  return a;
}

TEST(RelativeBucket, IsTransformers) {
  // Each of the logarithmic buckets begins at one of these distances.
  const Integers both_ways = {8, 12, 16, 23, 32, 46, 64, 91};
  const Integers one_way = {16, 19, 21, 24, 27, 31, 35, 40, 46, 52, 59, 67, 77, 87, 99, 113};
  const auto expected = [](const Integers& begins, std::int32_t n) {
    if (n < begins[0]) return n;
    const auto above = std::upper_bound(begins.begin(), begins.end(), n);
    return begins[0] + static_cast<std::int32_t>(above - begins.begin()) - 1;
  };
  for (std::int32_t n = 0; n < 1000; ++n) {
    EXPECT_EQ(cpu::relative_bucket(-n, 32, 128, true), expected(both_ways, n)) << n;
    EXPECT_EQ(cpu::relative_bucket(n, 32, 128, true), (n > 0 ? 16 : 0) + expected(both_ways, n));
    EXPECT_EQ(cpu::relative_bucket(-n, 32, 128, false), expected(one_way, n)) << n;
    EXPECT_EQ(cpu::relative_bucket(n, 32, 128, false), 0);
    EXPECT_EQ(bucket_oracle(n, 32, 128, true), cpu::relative_bucket(n, 32, 128, true));
  }
}

class Biased : public testing::TestWithParam<BiasDims> {
 protected:
  BiasedAttention problem() const { return problem_of(GetParam()); }
  void fill(BiasedAttention& a) { test::fill(a, random_); }
  void expect_equals_oracle(BiasedAttention a) {
    fill(a);
    test::expect_equals_oracle(*backend_, a);
  }

  Random random_{1};
  std::unique_ptr<Backend> backend_ = backend_under_test();
};

/// All queries of an encoder's row see all keys, but the prompt's, which the gist hides.
Interval encoder(std::int32_t j, std::int32_t prompt, std::int32_t n) {
  return j < prompt ? Interval{0, prompt + 2} : Interval{0, n};
}

TEST_P(Biased, EqualsTheOracleInCausalRows) {
  BiasedAttention a = problem();
  for (const std::int32_t n : {190, 35, 1, 2, 9, 17, 33}) add_row(a.p, n, 0, n, causal);
  expect_equals_oracle(a);
}

TEST_P(Biased, EqualsTheOracleInEncoderRowsWithAGist) {
  BiasedAttention a = problem();
  for (const std::int32_t n : {300, 40, 12}) {
    add_row(a.p, n, 0, n, [n](std::int32_t j) { return encoder(j, n / 2, n); });
  }
  expect_equals_oracle(a);
}

TEST_P(Biased, EqualsTheOracleWhereKeysAreSplitOrFew) {
  BiasedAttention a = problem();
  add_row(a.p, 1, 700, 701, causal);
  add_row(a.p, 3, 40, 43, causal);
  add_row(a.p, 0, 0, 4, causal);
  add_row(a.p, 2, 0, 0, causal);
  add_row(a.p, 2, 0, 600, [](std::int32_t) { return Interval{1, 2}; });  // the first sees none
  expect_equals_oracle(a);
}

TEST_P(Biased, PositionsMayBeAnything) {
  BiasedAttention a = problem();
  add_row(a.p, 70, 0, 150, [](std::int32_t j) { return Interval{j / 4, forever}; });
  add_row(a.p, 2, 20, 80, causal);
  add_row(a.p, 40, 0, 100, [](std::int32_t) { return Interval{0, forever}; });
  fill(a);
  for (std::int32_t& position : a.query_positions) position = random_.below(500) - 250;
  for (std::int32_t& position : a.key_positions) position = random_.below(500) - 250;
  test::expect_equals_oracle(*backend_, a);
}

TEST_P(Biased, AStoredGistMayStandAnywhere) {
  BiasedAttention a = problem();
  add_row(a.p, 60, 0, 70, [](std::int32_t j) { return Interval{j - 10, forever}; });
  add_row(a.p, 1, 50, 61, causal);
  fill(a);
  for (std::size_t k = 0; k < 10; ++k) {  // a run of gist keys far away, and one just before
    a.key_positions[k] = static_cast<std::int32_t>(k < 5 ? 1000000 + k : k) - 10;
  }
  a.key_positions[75] = -(1 << 30) + 1;
  a.query_positions[60] = (1 << 30) - 1;
  test::expect_equals_oracle(*backend_, a);
}

INSTANTIATE_TEST_SUITE_P(
    Dims, Biased,
    testing::Values(BiasDims{4, 4, 32, 32, 0, true}, BiasDims{4, 4, 32, 32, 0, false},
                    BiasDims{8, 4, 8, 8, 0, true}, BiasDims{6, 2, 13, 21, 0, true},
                    BiasDims{20, 1, 16, 24, 0, false}, BiasDims{1, 1, 1, 1, 0, true},
                    BiasDims{3, 3, 5, 34, 2, true}, BiasDims{40, 1, 4, 4, 3, false}));

class BiasedOnTarget : public OnSimdTarget {};

TEST_P(BiasedOnTarget, EqualsTheOracle) {
  const auto backend = backend_under_test();
  Random random(3);
  for (const BiasDims& dims : {BiasDims{4, 4, 16, 16, 0, true}, BiasDims{6, 2, 7, 9, 5, false}}) {
    BiasedAttention a = problem_of(dims);
    a.max_distance = 40;
    add_row(a.p, 90, 0, 90, [](std::int32_t j) { return encoder(j, 30, 90); });
    add_row(a.p, 2, 30, 32, causal);
    add_row(a.p, 40, 0, 40, causal);
    fill(a, random);
    expect_equals_oracle(*backend, a);
    for (std::int32_t& position : a.query_positions) position = random.below(100);
    for (std::int32_t& position : a.key_positions) position = random.below(100);
    expect_equals_oracle(*backend, a);
  }
}

INSTANTIATE_TEST_SUITE_P(Here, BiasedOnTarget, testing::ValuesIn(simd_targets_here()),
                         simd_target_name);

class BiasedRules : public testing::Test {
 protected:
  BiasedAttention encoder_problem() {
    BiasedAttention a = problem_of({4, 2, 8, 8, 0, true});
    for (const std::int32_t n : {150, 35, 35, 1}) {
      add_row(a.p, n, 0, n, [n](std::int32_t j) { return encoder(j, n / 2, n); });
    }
    fill(a, random_);
    return a;
  }
  Floats output_gradient(const BiasedAttention& a) {
    return random_.floats(a.p.queries * a.p.heads * a.p.value_dim);
  }

  Random random_{1};
  std::unique_ptr<Backend> backend_ = backend_under_test();
};

TEST_F(BiasedRules, GivesTheSameBitsAgainAndOnAnyNumberOfThreads) {
  const BiasedAttention a = encoder_problem();
  const Floats dy = output_gradient(a);
  const BiasedAttentionFound expected = attend_and_back(*backend_, a, dy);
  const auto single = backend_under_test(Dtype::f32, 1);
  EXPECT_EQ(attend_and_back(*backend_, a, dy), expected);
  EXPECT_EQ(attend_and_back(*single, a, dy), expected);
}

TEST_F(BiasedRules, ConsecutivePositionsGiveWhatOthersDo) {
  // Shifted by the same amount, positions have the same distances; with one query out of place, the
  // tiles of the others take the general path.
  BiasedAttention a = encoder_problem();
  const Floats dy = output_gradient(a);
  const BiasedAttentionFound expected = attend_and_back(*backend_, a, dy);
  for (std::int32_t& position : a.query_positions) position -= 12345;
  for (std::int32_t& position : a.key_positions) position -= 12345;
  EXPECT_EQ(attend_and_back(*backend_, a, dy), expected);
  a.query_positions[149] += 7;
  const BiasedAttentionFound other = attend_and_back(*backend_, a, dy);
  const auto row = static_cast<std::size_t>(a.p.heads * a.p.value_dim);
  for (std::size_t i = 0; i < other.y.size(); ++i) {
    EXPECT_EQ(other.y[i] == expected.y[i], i / row != 149) << i;
  }
}

TEST_F(BiasedRules, TheTablesGradientIsAddedAndMayBeLeftOut) {
  const BiasedAttention a = encoder_problem();
  const Floats dy = output_gradient(a);
  const BiasedAttentionFound expected = attend_and_back(*backend_, a, dy);
  DeviceArrays arrays(*backend_);
  const AttentionTensors t = upload(a.p, arrays);
  const AttentionSpec spec = upload_spec(a, arrays);
  const Tensor y = arrays.of(t.y.shape, expected.y);
  const Tensor log_sum_exp = arrays.of({a.p.queries, a.p.heads}, expected.log_sum_exp);
  const Tensor dout = arrays.of(t.y.shape, dy);
  const Tensor dq = arrays.empty(t.q.shape);
  const Tensor dkeys = arrays.empty(t.keys.shape);
  const Tensor dvalues = arrays.empty(t.values.shape);
  const auto back = [&](const Tensor& dtable) {
    backend_->run(ops::AttentionBackward{.forward = {.q = t.q,
                                                     .keys = t.keys,
                                                     .values = t.values,
                                                     .visible = t.visible,
                                                     .spec = spec,
                                                     .y = y,
                                                     .log_sum_exp = log_sum_exp},
                                         .dy = dout,
                                         .dq = dq,
                                         .dkeys = dkeys,
                                         .dvalues = dvalues,
                                         .dtable = dtable});
  };
  back({});
  EXPECT_EQ(arrays.floats(dq), expected.dq);
  const Tensor dtable = arrays.of(spec.bias.table.shape, expected.dtable);
  back(dtable);
  Doubles twice(expected.dtable.begin(), expected.dtable.end());
  for (double& each : twice) each *= 2;
  EXPECT_EQ(relative_error(arrays.floats(dtable), twice), 0);
}

TEST_F(BiasedRules, ATableOfZerosIsNoBias) {
  BiasedAttention a = encoder_problem();
  a.table.assign(a.table.size(), 0.0F);
  const Floats dy = output_gradient(a);
  const BiasedAttentionFound found = attend_and_back(*backend_, a, dy);
  const AttentionResult plain = attend_and_back(*backend_, a.p, dy);
  EXPECT_EQ(found.y, plain.y);
  EXPECT_EQ(found.dq, plain.dq);
  EXPECT_EQ(found.dkeys, plain.dkeys);
  EXPECT_EQ(found.dvalues, plain.dvalues);
}

TEST_F(BiasedRules, WhatDoesNotFitIsRefused) {
  const auto meta = make_meta_backend();
  for (Backend* backend : {backend_.get(), static_cast<Backend*>(meta.get())}) {
    const BiasedAttention a = encoder_problem();
    DeviceArrays arrays(*backend);
    const AttentionTensors t = upload(a.p, arrays);
    const AttentionSpec good = upload_spec(a, arrays);
    const auto attend = [&](const AttentionSpec& spec) { backend->run(attention_of(t, spec)); };
    attend(good);
    AttentionSpec bad = good;
    bad.bias.table = arrays.empty({32, 3});
    EXPECT_THROW(attend(bad), Error);
    bad = good;
    bad.bias.table = arrays.empty({3, 4});  // no bucket for distances that grow
    EXPECT_THROW(attend(bad), Error);
    bad = good;
    bad.bias.max_distance = 8;
    EXPECT_THROW(attend(bad), Error);
    bad = good;
    bad.bias.key_positions = arrays.empty(Dtype::i32, {3});
    EXPECT_THROW(attend(bad), Error);
    bad = good;
    bad.bias.query_positions = {};
    EXPECT_THROW(attend(bad), Error);
    EXPECT_THROW(backend->run(ops::AttentionBackward{
                     .forward = {.q = t.q,
                                 .keys = t.keys,
                                 .values = t.values,
                                 .visible = t.visible,
                                 .spec = good,
                                 .y = t.y,
                                 .log_sum_exp = arrays.empty({a.p.queries, a.p.heads})},
                     .dy = t.y,
                     .dq = t.q,
                     .dkeys = arrays.empty(t.keys.shape),
                     .dvalues = arrays.empty(t.values.shape),
                     .dtable = arrays.empty({31, 4})}),
                 Error);
  }
  for (const std::int32_t far : {1 << 30, -(1 << 30)}) {
    BiasedAttention a = encoder_problem();
    const Floats dy = output_gradient(a);
    a.key_positions[3] = far;
    EXPECT_THROW(attend_and_back(*backend_, a, dy), Error);
  }
}

TEST_F(BiasedRules, MetaCountsAnAdditionAPairAndHead) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  BiasedAttention a = encoder_problem();
  AttentionTensors t = upload(a.p, arrays);
  t.visible.visible_pairs = 100;
  const AttentionSpec spec = upload_spec(a, arrays);
  const Tensor log_sum_exp = arrays.empty({a.p.queries, a.p.heads});
  const auto flops_of_both = [&](const AttentionSpec& each, const Tensor& dtable) {
    meta->reset_costs();
    meta->run(attention_of(t, each, log_sum_exp));
    meta->run(ops::AttentionBackward{.forward = attention_of(t, each, log_sum_exp),
                                     .dy = t.y,
                                     .dq = t.q,
                                     .dkeys = arrays.empty(t.keys.shape),
                                     .dvalues = arrays.empty(t.values.shape),
                                     .dtable = dtable});
    return meta->total_flops();
  };
  const std::int64_t plain = flops_of_both(a.p.spec, {});
  EXPECT_EQ(flops_of_both(spec, {}), plain + 2 * 100 * 4);
  EXPECT_EQ(flops_of_both(spec, arrays.empty({32, 4})), plain + 3 * 100 * 4);
}

/// The gradient of sum(dy * y) by each element of `input`, one of a's tensors.
Doubles finite_differences(const BiasedAttention& a, const Floats& dy, Floats& input) {
  constexpr float step = 1.0F / 1024;
  const auto value = [&] {
    const Doubles y = biased_attention_oracle(a, dy).y;
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
    gradient.push_back((above - value()) / (2.0 * step));
    each = before;
  }
  return gradient;
}

/// The oracle itself is proven: all else is measured by it.
TEST(BiasedAttentionOracle, IsItsOwnGradient) {
  for (const float cap : {0.0F, 1.5F}) {
    BiasedAttention a = problem_of({4, 2, 3, 2, cap, true});
    a.buckets = 8;
    a.max_distance = 6;
    add_row(a.p, 7, 0, 9, [](std::int32_t j) { return Interval{0, j < 3 ? 5 : forever}; });
    add_row(a.p, 3, 2, 4, causal);
    Random random(3);
    fill(a, random);
    for (Floats* x : {&a.p.q, &a.p.keys, &a.p.values, &a.table}) {
      for (float& each : *x) each = std::round(each * 4096) / 4096;  // a step leaves them exact
    }
    const Floats dy = random.floats(a.p.queries * a.p.heads * a.p.value_dim);
    const BiasedAttentionResult gradients = biased_attention_oracle(a, dy);
    const auto error = [&](const Doubles& gradient, Floats& input) {
      const Doubles expected = finite_differences(a, dy, input);
      return relative_l2(Floats(gradient.begin(), gradient.end()), expected);
    };
    EXPECT_LT(error(gradients.dq, a.p.q), 2e-6);
    EXPECT_LT(error(gradients.dkeys, a.p.keys), 2e-6);
    EXPECT_LT(error(gradients.dvalues, a.p.values), 2e-6);
    EXPECT_LT(error(gradients.dtable, a.table), 2e-6);
  }
}

}  // namespace
}  // namespace gist::test
