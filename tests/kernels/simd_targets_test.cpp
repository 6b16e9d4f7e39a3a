// Each SIMD target that this processor has gives the oracle's results, not only the best one.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/attention_problem.h"
#include "tests/kernels/simd_targets.h"

namespace gist::test {
namespace {

class SimdTarget : public OnSimdTarget {
 protected:
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

TEST_P(SimdTarget, TakesTheGradientOfAttention) {
  for (const std::int64_t dim : {7, 64, 80}) {
    for (const float cap : {0.0F, 5.0F}) {
      AttentionProblem p;
      p.heads = 6;
      p.kv_heads = 2;
      p.key_dim = dim;
      p.value_dim = dim + 16;
      p.spec.soft_cap = cap;
      add_row(p, 70, 0, 70, causal);
      add_row(p, 35, 0, 35, [](std::int32_t j) { return Interval{j, j < 20 ? 22 : forever}; });
      fill(p, random_);
      const Floats dy = random_.floats(p.queries * p.heads * p.value_dim);
      const AttentionResult result = attend_and_back(*backend_, p, dy);
      const AttentionGradients expected = attention_backward_oracle(p, dy);
      EXPECT_LT(relative_error(result.log_sum_exp, log_sum_exp_oracle(p)), 2e-6) << dim;
      EXPECT_LT(relative_l2(result.dq, expected.dq), 2e-5) << dim;
      EXPECT_LT(relative_l2(result.dkeys, expected.dkeys), 2e-5) << dim;
      EXPECT_LT(relative_l2(result.dvalues, expected.dvalues), 2e-5) << dim;
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
  backend_->run(
      ops::RmsNorm{.x = in, .weight = arrays_.of({d}, Floats(d, 1.0F)), .eps = 1e-6F, .y = out});
  EXPECT_LT(relative_error(arrays_.floats(out), normal), 1e-6);
  const Doubles centred =
      layer_norm_oracle(doubles(x), Doubles(d, 1.0), Doubles(d), static_cast<double>(1e-6F));
  backend_->run(ops::LayerNorm{.x = in, .weight = {}, .bias = {}, .eps = 1e-6F, .y = out});
  EXPECT_LT(relative_error(arrays_.floats(out), centred), 1e-6);
  backend_->run(
      ops::GatedActivation{.activation = Activation::silu, .gate = in, .up = in, .y = out});
  EXPECT_LT(relative_error(arrays_.floats(out), gated), 1e-6);
  backend_->copy(in, out);
  backend_->run(ops::ScaleAndCap{.x = out, .scale = 2, .soft_cap = 3, .y = out});
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
  backend_->run(ops::LinearCrossEntropy{.hidden = arrays_.of({m, d}, hidden),
                                        .head = *packed,
                                        .labels = arrays_.of({m}, labels),
                                        .loss = loss,
                                        .best = best});
  const CrossEntropy expected =
      cross_entropy_oracle(gemm_oracle(hidden, head, {}, m, vocabulary, d), labels, {});
  EXPECT_LT(relative_error(arrays_.floats(loss), expected.loss), 1e-6);
  EXPECT_EQ(arrays_.integers(best), expected.best);
}

TEST_P(SimdTarget, TakesTheGradientsOfNormsGatesAndRotations) {
  constexpr std::int64_t d = 77;
  const Floats x = random_.floats(d, 4), weight = random_.floats(d), dy = random_.floats(d);
  const Tensor in = arrays_.of({1, d}, x), other = arrays_.of({1, d}, weight);
  const Tensor gradient = arrays_.of({1, d}, dy), dx = arrays_.empty({1, d});
  const Tensor dweight = arrays_.of({d}, Floats(d)), dup = arrays_.empty({1, d});
  const auto expect = [&](const Tensor& found, const Floats& at, const auto& forward) {
    EXPECT_LT(relative_l2(arrays_.floats(found), numerical_gradient(at, dy, forward)), 1e-5);
  };
  backend_->run(ops::RmsNormBackward{.x = in,
                                     .weight = arrays_.of({d}, weight),
                                     .eps = 1e-6F,
                                     .dy = gradient,
                                     .dx = dx,
                                     .dweight = dweight});
  expect(dx, x, [&](const auto& at) { return rms_norm_oracle(at, doubles(weight), 1e-6); });
  expect(dweight, weight, [&](const auto& at) { return rms_norm_oracle(doubles(x), at, 1e-6); });
  backend_->run(ops::GatedActivationBackward{.activation = Activation::silu,
                                             .gate = in,
                                             .up = other,
                                             .dy = gradient,
                                             .dgate = dx,
                                             .dup = dup});
  expect(dx, x, [&](const auto& at) { return silu_gate_oracle(at, doubles(weight)); });
  expect(dup, weight, [&](const auto& at) { return silu_gate_oracle(doubles(x), at); });

  constexpr std::int64_t pairs = 37;
  const Floats table = random_.floats(2 * pairs);
  const Tensor rotation = arrays_.of({1, 2, pairs}, table);
  backend_->run(ops::Rotate{.x = gradient.reshaped({1, 1, d}),
                            .rotation = rotation,
                            .pairs = RopePairs::half,
                            .direction = RotateDirection::backward,
                            .y = dx.reshaped({1, 1, d})});
  expect(dx, x,
         [&](const auto& at) { return rotate_oracle(at, table, 1, d, pairs, RopePairs::half); });
}

TEST_P(SimdTarget, TakesTheGradientOfCrossEntropy) {
  for (const float cap : {0.0F, 3.0F}) {
    CrossEntropyProblem p{3, 8, 53, {}, {}, {}, {0, 52, 7}, {0.5F, cap, 2, 0.1F}};
    p.hidden = random_.floats(p.m * p.d);
    p.head = random_.floats(p.vocabulary * p.d);
    p.bias = random_.floats(p.vocabulary);
    const Tensor loss = arrays_.empty({p.m}), dhidden = arrays_.empty({p.m, p.d});
    const Tensor dhead = arrays_.of({p.vocabulary, p.d}, Floats(p.head.size()));
    const Tensor dbias = arrays_.of({p.vocabulary}, Floats(p.bias.size()));
    backend_->run(ops::LinearCrossEntropyGradient{.hidden = arrays_.of({p.m, p.d}, p.hidden),
                                                  .head = arrays_.of({p.vocabulary, p.d}, p.head),
                                                  .bias = arrays_.of({p.vocabulary}, p.bias),
                                                  .spec = p.spec,
                                                  .labels = arrays_.of({p.m}, p.labels),
                                                  .loss = loss,
                                                  .dhidden = dhidden,
                                                  .dhead = dhead,
                                                  .dbias = dbias});
    const CrossEntropyGradients expected = cross_entropy_gradients_oracle(p);
    EXPECT_LT(relative_error(arrays_.floats(loss), expected.loss), 1e-6);
    EXPECT_LT(relative_l2(arrays_.floats(dhidden), expected.dhidden), 1e-5);
    EXPECT_LT(relative_l2(arrays_.floats(dhead), expected.dhead), 1e-5);
    EXPECT_LT(relative_l2(arrays_.floats(dbias), expected.dbias), 1e-5);
  }
}

TEST_P(SimdTarget, TakesNormsAndStepsOfAdamw) {
  constexpr std::int64_t n = 5003;
  const Floats gradient = random_.floats(n), weight = random_.floats(n);
  double squares = 0;
  for (const float each : gradient) squares += double{each} * each;
  const Tensor g = arrays_.of({n}, gradient), norm = arrays_.empty({1});
  backend_->run(ops::Norm{.x = g, .y = norm});
  EXPECT_NEAR(arrays_.floats(norm)[0], std::sqrt(squares), 1e-6 * std::sqrt(squares));

  AdamwOptions options;
  options.lr = 0.1;
  options.weight_decay = 0.2;
  options.eps = 0.01;
  options.max_norm = 1;
  const Tensor w = arrays_.of({n}, weight);
  const Tensor first = arrays_.of({n}, Floats(n)), second = arrays_.of({n}, Floats(n));
  backend_->run(ops::Adamw{.options = options,
                           .gradient = g,
                           .norm = norm,
                           .weight = w,
                           .first_moment = first,
                           .second_moment = second});
  Doubles expected;
  for (std::size_t i = 0; i < n; ++i) {
    const AdamwValue before{weight[i], 0, 0};
    expected.push_back(adamw_oracle(options, gradient[i], std::sqrt(squares), before).weight);
  }
  EXPECT_LT(relative_error(arrays_.floats(w), expected), 1e-6);
}

TEST_P(SimdTarget, AnswersInNumbersOnlyWhereAllThatIsSeenIsNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float bad : {nan, -nan, std::nanf("0x1ff"), std::numeric_limits<float>::infinity()}) {
    AttentionProblem p;
    p.key_dim = p.value_dim = 16;
    add_row(p, 1, 1200, 1201, causal);  // split
    add_row(p, 1, 40, 41, causal);      // few columns
    add_row(p, 70, 0, 70, causal);      // many
    fill(p, random_);
    for (float& each : p.q) each = std::abs(each);  // an infinite key isn't just hidden
    for (const std::int32_t key : {5, 1201 + 40, 1201 + 41 + 33}) {
      p.keys[static_cast<std::size_t>(p.slot[static_cast<std::size_t>(key)] * p.key_dim)] = bad;
    }
    const AttentionResult result =
        attend_and_back(*backend_, p, random_.floats(p.queries * p.value_dim));
    for (std::int64_t query = 0; query < p.queries; ++query) {
      const bool sees = query < 2 || query - 2 >= 33;
      const float* y = result.y.data() + query * p.value_dim;
      EXPECT_EQ(std::isnan(result.log_sum_exp[static_cast<std::size_t>(query)]), sees) << query;
      for (std::int64_t i = 0; i < p.value_dim; ++i) EXPECT_EQ(std::isnan(y[i]), sees) << query;
    }
    EXPECT_TRUE(std::isnan(result.dq[0]));
  }
}

TEST_P(SimdTarget, LosesNaNWhereALogitIsNotFinite) {
  constexpr std::int64_t m = 2, vocabulary = 53;
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float bad : {std::nanf(""), infinity, -infinity}) {
    for (const std::size_t place : {0, 7, 16, 52}) {
      Floats bias(vocabulary);
      bias[place] = bad;
      const Floats head(vocabulary, 1);
      const Tensor loss = arrays_.empty({m}), best = arrays_.empty(Dtype::i32, {m});
      const Tensor hidden = arrays_.of({m, 1}, Floats{1, 2});
      const Tensor labels = arrays_.of({m}, Integers{7, 8});
      for (const float cap : {0.0F, 3.0F}) {
        if (cap > 0 && std::isinf(bad)) continue;  // the cap makes it a number
        backend_->run(
            ops::LinearCrossEntropy{.hidden = hidden,
                                    .head = *backend_->pack(host_tensor({vocabulary, 1}, head)),
                                    .bias = arrays_.of({vocabulary}, bias),
                                    .soft_cap = cap,
                                    .labels = labels,
                                    .loss = loss,
                                    .best = best});
        for (const float each : arrays_.floats(loss)) EXPECT_TRUE(std::isnan(each)) << place;
        for (const std::int32_t each : arrays_.integers(best)) EXPECT_LT(each, vocabulary);
        backend_->run(ops::LinearCrossEntropyGradient{
            .hidden = hidden,
            .head = arrays_.of({vocabulary, 1}, head),
            .bias = arrays_.of({vocabulary}, bias),
            .spec = {1, cap, 1, 0},
            .labels = labels,
            .loss = loss,
            .dhidden = arrays_.empty({m, 1}),
            .dhead = arrays_.of({vocabulary, 1}, Floats(vocabulary)),
            .dbias = arrays_.of({vocabulary}, Floats(vocabulary))});
        for (const float each : arrays_.floats(loss)) EXPECT_TRUE(std::isnan(each)) << place;
      }
    }
  }
}

TEST_P(SimdTarget, NormsAndCurvesKeepWhatIsNoNumber) {
  constexpr std::int64_t d = 77;
  for (const std::size_t place : {std::size_t{3}, std::size_t{76}}) {
    Floats x(d, 1);
    x[place] = std::nanf("");
    const Tensor in = arrays_.of({1, d}, x), out = arrays_.empty({1, d});
    for (const Activation each : {Activation::silu, Activation::relu, Activation::gelu_new}) {
      backend_->run(ops::Activation{.activation = each, .x = in, .y = out});
      EXPECT_TRUE(std::isnan(arrays_.floats(out)[place]));
    }
    backend_->run(
        ops::RmsNorm{.x = in, .weight = arrays_.of({d}, Floats(d, 1.0F)), .eps = 1e-6F, .y = out});
    EXPECT_TRUE(std::isnan(arrays_.floats(out)[0]));
    backend_->run(ops::LayerNorm{.x = in, .weight = {}, .bias = {}, .eps = 1e-6F, .y = out});
    EXPECT_TRUE(std::isnan(arrays_.floats(out)[0]));
    x[place] = 1e30F;  // whose square is none
    backend_->run(ops::RmsNorm{.x = arrays_.of({1, d}, x),
                               .weight = arrays_.of({d}, Floats(d, 1.0F)),
                               .eps = 1e-6F,
                               .y = out});
    EXPECT_TRUE(std::isnan(arrays_.floats(out)[0]));
    x[place] = std::nanf("");
    backend_->run(ops::ScaleAndCap{.x = in, .scale = 2, .soft_cap = 3, .y = in});
    EXPECT_TRUE(std::isnan(arrays_.floats(in)[place]));
  }
}

INSTANTIATE_TEST_SUITE_P(Here, SimdTarget, testing::ValuesIn(simd_targets_here()),
                         simd_target_name);

}  // namespace
}  // namespace gist::test
