#include <gtest/gtest.h>

#include <cmath>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

CrossEntropyProblem problem(std::int64_t m, std::int64_t d, std::int64_t vocabulary, bool bias,
                            float scale, float soft_cap, float deviation = 1) {
  Random random(3);
  CrossEntropyProblem p{m, d, vocabulary, {}, {}, {}, {}, {scale, soft_cap, 0.3F}};
  p.hidden = random.floats(m * d);
  p.head = random.floats(vocabulary * d, deviation);
  if (bias) p.bias = random.floats(vocabulary);
  for (std::int64_t i = 0; i < m; ++i) p.labels.push_back(random.below(vocabulary));
  return p;
}

struct Gradients {
  Floats loss, dhidden, dhead, dbias;
};

/// Gradients of weights, unless they are frozen, are added to zeros; that of the input overwrites.
Gradients take(Backend& backend, const CrossEntropyProblem& p, bool frozen = false) {
  DeviceArrays arrays(backend);
  const bool bias = !p.bias.empty();
  const Tensor loss = arrays.empty({p.m});
  const Tensor dhidden = arrays.of({p.m, p.d}, Floats(p.hidden.size(), 99.0F));
  const Tensor dhead = arrays.of({p.vocabulary, p.d}, Floats(p.head.size()));
  const Tensor dbias = bias ? arrays.of({p.vocabulary}, Floats(p.bias.size())) : Tensor{};
  backend.run(
      ops::LinearCrossEntropyGradient{.hidden = arrays.of({p.m, p.d}, p.hidden),
                                      .head = arrays.of({p.vocabulary, p.d}, p.head),
                                      .bias = bias ? arrays.of({p.vocabulary}, p.bias) : Tensor{},
                                      .spec = p.spec,
                                      .labels = arrays.of({p.m}, p.labels),
                                      .loss = loss,
                                      .dhidden = dhidden,
                                      .dhead = frozen ? Tensor{} : dhead,
                                      .dbias = frozen ? Tensor{} : dbias});
  return {arrays.floats(loss), arrays.floats(dhidden), arrays.floats(dhead),
          bias ? arrays.floats(dbias) : Floats{}};
}

void expect_oracle(const Gradients& found, const CrossEntropyProblem& p) {
  const CrossEntropyGradients expected = cross_entropy_gradients_oracle(p);
  EXPECT_LT(relative_error(found.loss, expected.loss), 1e-6);
  EXPECT_LT(relative_l2(found.dhidden, expected.dhidden), gradient_tolerance);
  EXPECT_LT(relative_l2(found.dhead, expected.dhead), gradient_tolerance);
  if (p.bias.empty()) return;
  EXPECT_LT(relative_l2(found.dbias, expected.dbias), gradient_tolerance);
}

TEST(CrossEntropyGradientOracle, IsTheGradientOfTheForwardOracle) {
  for (const auto& [cap, smoothing] : {std::pair(0.0F, 0.0F), {5.0F, 0.0F}, {0.0F, 0.2F}}) {
    CrossEntropyProblem p = problem(3, 4, 7, true, 1.5F, cap);
    p.spec.label_smoothing = smoothing;
    const CrossEntropyGradients found = cross_entropy_gradients_oracle(p);
    const auto loss = [&](const Doubles& hidden, const Doubles& head, const Doubles& bias) {
      return cross_entropy_oracle(gemm_oracle(hidden, head, bias, p.m, p.vocabulary, p.d), p.labels,
                                  p.spec)
          .loss;
    };
    const auto expect_numerical = [&](const Doubles& gradient, const Floats& x, auto forward) {
      const Doubles numerical = numerical_gradient(x, Floats(3, p.spec.factor), forward);
      EXPECT_LT(relative_l2(Floats(gradient.begin(), gradient.end()), numerical), 1e-6) << cap;
    };
    const Doubles hidden = doubles(p.hidden), head = doubles(p.head), bias = doubles(p.bias);
    expect_numerical(found.dhidden, p.hidden, [&](const auto& at) { return loss(at, head, bias); });
    expect_numerical(found.dhead, p.head, [&](const auto& at) { return loss(hidden, at, bias); });
    expect_numerical(found.dbias, p.bias, [&](const auto& at) { return loss(hidden, head, at); });
  }
}

TEST(CrossEntropyGradient, EqualsTheOracle) {
  const auto backend = backend_under_test();
  for (const CrossEntropyProblem& p :
       {problem(1, 1, 1, false, 1, 0), problem(3, 16, 50, false, 1, 0),
        problem(5, 33, 129, true, 0.5F, 0), problem(5, 33, 129, true, 0.5F, 3),
        problem(40, 7, 13, true, -2, 30)}) {
    SCOPED_TRACE(p.vocabulary);
    expect_oracle(take(*backend, p), p);
  }
}

TEST(CrossEntropyGradient, EqualsTheOracleWithSmoothedLabels) {
  const auto backend = backend_under_test();
  for (const float cap : {0.0F, 3.0F}) {
    CrossEntropyProblem p = problem(5, 33, 129, true, 0.5F, cap);
    p.spec.label_smoothing = 0.1F;
    expect_oracle(take(*backend, p), p);
  }
}

TEST(CrossEntropyGradient, EqualsTheOracleWhereRowsTakeSeveralChunks) {
  const auto backend = backend_under_test();
  const CrossEntropyProblem wide = problem(70, 3, 70000, true, 0.7F, 4);  // chunks of 32 rows
  expect_oracle(take(*backend, wide), wide);
  const CrossEntropyProblem tall = problem(2500, 3, 11, true, 1, 0);  // chunks of 1024
  expect_oracle(take(*backend, tall), tall);
}

TEST(CrossEntropyGradient, EqualsTheOracleWhereProbabilitiesVanish) {
  const auto backend = backend_under_test();
  CrossEntropyProblem p = problem(6, 9, 61, true, 1, 0, 300);
  expect_oracle(take(*backend, p), p);
}

TEST(CrossEntropyGradient, TheLossIsThatOfLinearCrossEntropy) {
  const auto backend = backend_under_test();
  DeviceArrays arrays(*backend);
  const CrossEntropyProblem p = problem(9, 20, 77, true, 0.5F, 3);
  const Tensor loss = arrays.empty({p.m}), best = arrays.empty(Dtype::i32, {p.m});
  const auto head = backend->plain(arrays.of({p.vocabulary, p.d}, p.head));
  backend->run(ops::LinearCrossEntropy{.hidden = arrays.of({p.m, p.d}, p.hidden),
                                       .head = *head,
                                       .bias = arrays.of({p.vocabulary}, p.bias),
                                       .scale = p.spec.scale,
                                       .soft_cap = p.spec.soft_cap,
                                       .labels = arrays.of({p.m}, p.labels),
                                       .loss = loss,
                                       .best = best});
  EXPECT_EQ(take(*backend, p).loss, arrays.floats(loss));
}

TEST(CrossEntropyGradient, OfFrozenWeightsIsThatOfTheInputAlone) {
  const auto backend = backend_under_test();
  const CrossEntropyProblem p = problem(40, 7, 61, true, 1, 0);
  const Gradients all = take(*backend, p), found = take(*backend, p, true);
  EXPECT_EQ(found.loss, all.loss);
  EXPECT_EQ(found.dhidden, all.dhidden);
  EXPECT_EQ(found.dhead, Floats(p.head.size()));
  EXPECT_EQ(found.dbias, Floats(p.bias.size()));
}

TEST(CrossEntropyGradient, IsAddedToThoseOfTheWeights) {
  const auto backend = backend_under_test();
  const CrossEntropyProblem p = problem(3, 2, 5, true, 1, 0);
  const Gradients alone = take(*backend, p);
  DeviceArrays arrays(*backend);
  const Tensor head = arrays.of({5, 2}, p.head), bias = arrays.of({5}, p.bias);
  const Tensor dhead = arrays.of({5, 2}, Floats(10, 8.0F)), dbias = arrays.of({5}, Floats(5, 8.0F));
  const Tensor loss = arrays.empty({3}), dhidden = arrays.empty({3, 2});
  backend->run(ops::LinearCrossEntropyGradient{.hidden = arrays.of({3, 2}, p.hidden),
                                               .head = head,
                                               .bias = bias,
                                               .spec = p.spec,
                                               .labels = arrays.of({3}, p.labels),
                                               .loss = loss,
                                               .dhidden = dhidden,
                                               .dhead = dhead,
                                               .dbias = dbias});
  const Floats heads = arrays.floats(dhead), biases = arrays.floats(dbias);
  for (std::size_t i = 0; i < heads.size(); ++i) EXPECT_NEAR(heads[i], 8 + alone.dhead[i], 1e-6);
  for (std::size_t i = 0; i < biases.size(); ++i) EXPECT_NEAR(biases[i], 8 + alone.dbias[i], 1e-6);
}

TEST(CrossEntropyGradient, RefusesLabelsOutsideTheVocabulary) {
  const auto backend = backend_under_test();
  CrossEntropyProblem p = problem(2, 3, 4, false, 1, 0);
  for (const std::int32_t label : {-1, 4}) {
    p.labels[1] = label;
    EXPECT_THROW(take(*backend, p), Error);
  }
}

TEST(CrossEntropyGradient, OfBf16HasTheErrorOfPlainRounding) {
  const auto backend = backend_under_test(Dtype::bf16);
  if (backend == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  const CrossEntropyProblem p = problem(33, 40, 57, false, 1, 0, 0.3F);
  const Gradients found = take(*backend, p);
  const CrossEntropyGradients exact = cross_entropy_gradients_oracle(p);

  Floats dlogits = plain_bf16_gemm(p.hidden, p.head, {}, p.m, p.vocabulary, p.d);
  const Doubles loss = cross_entropy_oracle(doubles(dlogits), p.labels, {}).loss;
  for (std::size_t i = 0; i < loss.size(); ++i) {
    float* row = &dlogits[i * static_cast<std::size_t>(p.vocabulary)];
    const double log_sum_exp = loss[i] + row[p.labels[i]];
    for (std::int64_t j = 0; j < p.vocabulary; ++j) {
      row[j] = static_cast<float>(p.spec.factor *
                                  (std::exp(row[j] - log_sum_exp) - (j == p.labels[i] ? 1 : 0)));
    }
  }
  const Floats dhidden =
      plain_bf16_gemm(dlogits, transposed(p.head, p.vocabulary, p.d), {}, p.m, p.d, p.vocabulary);
  const Floats dhead = plain_bf16_gemm(transposed(dlogits, p.m, p.vocabulary),
                                       transposed(p.hidden, p.m, p.d), {}, p.vocabulary, p.d, p.m);
  EXPECT_LE(relative_l2(found.dhidden, exact.dhidden), 2 * relative_l2(dhidden, exact.dhidden));
  EXPECT_LE(relative_l2(found.dhead, exact.dhead), 2 * relative_l2(dhead, exact.dhead));
}

}  // namespace
}  // namespace gist::test
