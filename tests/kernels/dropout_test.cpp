#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "kernels/meta/meta_backend.h"
#include "kernels/philox.h"
#include "tests/kernels/biased_attention.h"
#include "tests/kernels/dropout_oracle.h"
#include "tests/kernels/simd_targets.h"

namespace gist::test {
namespace {

Floats dropped(Backend& backend, const Floats& x, const Dropout& dropout) {
  DeviceArrays arrays(backend);
  const Tensor y = arrays.of({static_cast<std::int64_t>(x.size())}, x);
  backend.run(ops::Dropout{.x = y, .dropout = dropout, .y = y});  // in place
  return arrays.floats(y);
}

void expect_kept_equal_oracle(Backend& backend, std::int64_t n) {
  Random random(1);
  const Floats x = random.floats(n);
  for (const float p : {0.1F, 0.5F, 0.999F}) {
    const Dropout dropout{p, 0x123456789ABCDEF0u, 0xFEDCBA9876543210u};
    Doubles expected;
    for (std::size_t i = 0; i < x.size(); ++i) {
      expected.push_back(x[i] * dropout_factor(dropout, i));
    }
    EXPECT_LT(relative_error(dropped(backend, x, dropout), expected), 1e-6) << p;
  }
}

TEST(PhiloxTest, GivesRandom123sKnownAnswers) {
  using Counter = std::array<std::uint32_t, 4>;
  EXPECT_EQ(philox_words(0, {0, 0, 0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox_words(~std::uint64_t{0}, {~0U, ~0U, ~0U, ~0U}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox_words(0x299f31d0a4093822u, {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(DropoutTest, EqualsTheOracle) {
  const auto backend = backend_under_test();
  expect_kept_equal_oracle(*backend, 100003);  // on both threads
  for (const std::int64_t n : {0, 1, 3, 4, 63, 64, 65}) expect_kept_equal_oracle(*backend, n);
}

class DropoutOnTarget : public OnSimdTarget {};

TEST_P(DropoutOnTarget, EqualsTheOracle) {
  const auto backend = make_cpu_backend({.threads = 1});
  expect_kept_equal_oracle(*backend, 1003);
}

INSTANTIATE_TEST_SUITE_P(Here, DropoutOnTarget, testing::ValuesIn(simd_targets_here()),
                         simd_target_name);

/// Returns how many of n ones are kept.
double kept(Backend& backend, std::int64_t n, const Dropout& dropout) {
  double count = 0;
  for (const float y : dropped(backend, Floats(static_cast<std::size_t>(n), 1.0F), dropout)) {
    EXPECT_TRUE(y == 0 || y == 1 / (1 - dropout.probability));
    count += y != 0;
  }
  return count;
}

TEST(DropoutTest, KeepsTheShareThatItSaysAndTheMean) {
  const auto backend = backend_under_test();
  constexpr std::int64_t n = 1 << 20;
  for (const float p : {0.01F, 0.1F, 0.5F, 0.9F}) {
    const double deviation = std::sqrt(n * double{p} * (1 - double{p}));
    const double count = kept(*backend, n, {p, 7, 1});
    EXPECT_LT(std::abs(count - n * (1 - double{p})), 4 * deviation) << p;
    EXPECT_NEAR(count / (1 - double{p}) / n, 1, 4 * deviation / n / (1 - double{p})) << p;
  }
}

TEST(DropoutTest, SeedsAndStreamsDrawIndependently) {
  const auto backend = backend_under_test();
  constexpr std::int64_t n = 1 << 18;
  const Floats ones(n, 1.0F);
  const Dropout first{0.5F, 1, 1};
  const Floats expected = dropped(*backend, ones, first);
  EXPECT_EQ(dropped(*backend, ones, first), expected);
  for (const Dropout& other :
       {Dropout{0.5F, 1, 2}, Dropout{0.5F, 2, 1}, Dropout{0.5F, 1, std::uint64_t{1} << 32 | 1},
        Dropout{0.5F, std::uint64_t{1} << 32 | 1, 1}}) {
    const Floats found = dropped(*backend, ones, other);
    double equal = 0;
    for (std::size_t i = 0; i < ones.size(); ++i) equal += found[i] == expected[i];
    EXPECT_NEAR(equal / n, 0.5, 0.005);  // 5 deviations
  }
}

TEST(DropoutTest, ProbabilityZeroIsACopy) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const Floats x = {1, -2, std::numeric_limits<float>::infinity()};
  const Tensor y = arrays.empty({3});
  backend->run(ops::Dropout{.x = arrays.of({3}, x), .dropout = {0, 5, 5}, .y = y});
  EXPECT_EQ(arrays.floats(y), x);
}

TEST(DropoutTest, IsCountedAndChecked) {
  const auto meta = make_meta_backend();
  const auto cpu = backend_under_test();
  for (Backend* backend : {static_cast<Backend*>(meta.get()), cpu.get()}) {
    DeviceArrays arrays(*backend);
    const Tensor x = arrays.empty({6});
    EXPECT_THROW(
        backend->run(ops::Dropout{.x = x, .dropout = {0.5F, 0, 0}, .y = arrays.empty({5})}), Error);
    for (const float p : {-0.1F, 1.0F, std::numeric_limits<float>::quiet_NaN()}) {
      EXPECT_THROW(backend->run(ops::Dropout{.x = x, .dropout = {p, 0, 0}, .y = x}), Error);
    }
  }
  DeviceArrays arrays(*meta);
  const Tensor x = arrays.empty({6});
  meta->run(ops::Dropout{.x = x, .dropout = {0.5F, 0, 0}, .y = x});
  EXPECT_EQ(meta->costs().at("dropout").flops, 6);
}

/// The problem has grouped heads, hidden prompts, splits and rows of few and many queries.
BiasedAttention attention_problem(Random& random) {
  BiasedAttention a;
  a.p.heads = 6;
  a.p.kv_heads = 2;
  a.bidirectional = true;
  add_row(a.p, 150, 0, 150, causal);
  add_row(a.p, 1, 700, 701, causal);
  add_row(a.p, 35, 0, 35, [](std::int32_t j) { return Interval{0, j < 20 ? 22 : forever}; });
  add_row(a.p, 2, 30, 32, causal);
  fill(a, random);
  a.p.slot[5] = a.p.slot[0];  // each entry of the list draws for itself
  a.p.spec.dropout = {0.3F, 11, 12};
  return a;
}

TEST(AttentionDropout, EqualsTheOracle) {
  const auto backend = backend_under_test();
  Random random(1);
  BiasedAttention a = attention_problem(random);
  expect_equals_oracle(*backend, a);
  a.p.spec.soft_cap = 4;
  expect_equals_oracle(*backend, a);
}

class AttentionDropoutOnTarget : public OnSimdTarget {};

TEST_P(AttentionDropoutOnTarget, EqualsTheOracle) {
  const auto backend = make_cpu_backend({.threads = 1});
  Random random(1);
  expect_equals_oracle(*backend, attention_problem(random));
}

INSTANTIATE_TEST_SUITE_P(Here, AttentionDropoutOnTarget, testing::ValuesIn(simd_targets_here()),
                         simd_target_name);

TEST(AttentionDropout, GivesTheSameBitsAgainAndOnAnyNumberOfThreads) {
  Random random(1);
  const BiasedAttention a = attention_problem(random);
  const Floats dy = random.floats(a.p.queries * a.p.heads * a.p.value_dim);
  const auto backend = backend_under_test();
  const auto single = backend_under_test(Dtype::f32, 1);
  const BiasedAttentionFound expected = attend_and_back(*backend, a, dy);
  EXPECT_EQ(attend_and_back(*backend, a, dy), expected);
  EXPECT_EQ(attend_and_back(*single, a, dy), expected);
}

TEST(AttentionDropout, CountsElementsBeyond32Bits) {
  constexpr std::int32_t queries = 75000;
  constexpr std::int32_t list = 1 << 16;
  BiasedAttention a;
  a.p.rows = {{0, queries - 40, 0, 0, 0},
              {queries - 2, queries, 0, list - 5, list},             // few columns
              {queries - 40, queries - 2, 0, list - 12, list - 5}};  // many
  a.p.queries = queries;
  a.p.slot.assign(list, 0);
  a.p.begin.assign(list, 0);
  a.p.end.assign(list, forever);
  Random random(1);
  fill(a, random);
  for (std::int32_t k = 0; k < 12; ++k) a.p.slot[static_cast<std::size_t>(list - 12 + k)] = k;
  a.p.spec.dropout = {0.4F, 1, 2};
  expect_equals_oracle(*backend_under_test(), a);
}

TEST(AttentionDropout, KeepsTheMeanOverStreams) {
  const auto backend = backend_under_test();
  Random random(1);
  AttentionProblem p;
  add_row(p, 12, 0, 40, [](std::int32_t) { return Interval{0, forever}; });
  fill(p, random);
  const Floats expected = attend(*backend, p);
  constexpr int draws = 2000;
  Doubles mean(expected.size());
  for (int i = 0; i < draws; ++i) {
    p.spec.dropout = {0.2F, 3, static_cast<std::uint64_t>(i)};
    const Floats y = attend(*backend, p);
    for (std::size_t j = 0; j < y.size(); ++j) mean[j] += y[j] / double{draws};
  }
  // One y deviates by about 0.5 * sqrt(sum of P^2 v^2) ~ 0.1.
  for (std::size_t j = 0; j < mean.size(); ++j) EXPECT_NEAR(mean[j], expected[j], 0.02) << j;
}

TEST(AttentionDropout, IsCountedAndChecked) {
  const auto meta = make_meta_backend();
  DeviceArrays arrays(*meta);
  AttentionProblem p;
  p.heads = 2;
  add_row(p, 3, 0, 3, causal);
  Random random(1);
  fill(p, random);
  AttentionTensors t = upload(p, arrays);
  t.visible.visible_pairs = 6;
  const Tensor log_sum_exp = arrays.empty({3, 2});
  const auto flops_of_both = [&] {
    meta->reset_costs();
    meta->run(attention_of(t, p.spec, log_sum_exp));
    meta->run(ops::AttentionBackward{.forward = attention_of(t, p.spec, log_sum_exp),
                                     .dy = t.y,
                                     .dq = t.q,
                                     .dkeys = arrays.empty(t.keys.shape),
                                     .dvalues = arrays.empty(t.values.shape)});
    return meta->total_flops();
  };
  const std::int64_t plain = flops_of_both();
  p.spec.dropout.probability = 0.5F;
  EXPECT_EQ(flops_of_both(), plain + 3 * 6 * 2);
  p.spec.dropout.probability = 1;
  EXPECT_THROW(flops_of_both(), Error);
}

}  // namespace
}  // namespace gist::test
