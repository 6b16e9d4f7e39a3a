#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/distillation_problem.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct Top {
  Integers ids;  // [m, k]
  Floats log_p;
};

Top top_of(Backend& backend, const DistillationProblem& p, std::int64_t k) {
  DeviceArrays arrays(backend);
  const auto head = packed(backend, p.teacher);
  const TopChoices top{arrays.empty(Dtype::i32, {p.m, k}), arrays.empty({p.m, k})};
  DivergenceSpec spec = p.spec(arrays);
  spec.temperature = 1;
  backend.run(ops::LinearTopChoices{
      .input = head_input(arrays, p.teacher, p.m, *head), .spec = spec, .top = top});
  return {arrays.integers(top.ids), arrays.floats(top.log_p)};
}

/// [m, choices] log probabilities, and -infinity where an id is no choice.
Doubles log_probabilities(const DistillationProblem& p, const Doubles& logits) {
  const std::size_t vocabulary = logits.size() / static_cast<std::size_t>(p.m);
  const std::vector<bool> chosen = p.chosen();
  Doubles result;
  for (std::int64_t i = 0; i < p.m; ++i) {
    const double* z = logits.data() + static_cast<std::size_t>(i) * vocabulary;
    double peak = -std::numeric_limits<double>::infinity(), sum = 0;
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      if (chosen[j]) peak = std::max(peak, z[j]);
    }
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      if (chosen[j]) sum += std::exp(z[j] - peak);
    }
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      result.push_back(chosen[j] ? z[j] - peak - std::log(sum)
                                 : -std::numeric_limits<double>::infinity());
    }
  }
  return result;
}

Top top_oracle(const DistillationProblem& p, std::int64_t k) {
  const Doubles log_p = log_probabilities(p, p.teacher.logits(p.m));
  Top top;
  for (std::int64_t i = 0; i < p.m; ++i) {
    const double* row = log_p.data() + i * p.choices;
    Integers ids(static_cast<std::size_t>(p.choices));
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [row](auto a, auto b) { return row[a] > row[b]; });
    for (std::int64_t j = 0; j < k; ++j) {
      const bool any = j < p.choices && std::isfinite(row[ids[static_cast<std::size_t>(j)]]);
      top.ids.push_back(any ? ids[static_cast<std::size_t>(j)] : -1);
      top.log_p.push_back(any ? static_cast<float>(row[top.ids.back()])
                              : -std::numeric_limits<float>::infinity());
    }
  }
  return top;
}

void expect_top(Backend& backend, const DistillationProblem& p, std::int64_t k) {
  const Top found = top_of(backend, p, k), expected = top_oracle(p, k);
  EXPECT_EQ(found.ids, expected.ids);
  for (std::size_t i = 0; i < found.ids.size(); ++i) {
    if (found.ids[i] < 0) {
      EXPECT_EQ(found.log_p[i], expected.log_p[i]);
    } else {
      EXPECT_NEAR(found.log_p[i], expected.log_p[i], 1e-5F);
    }
  }
}

TEST(TopChoices, AreTheLikeliestWithoutTheExcludedOnes) {
  const auto backend = backend_under_test();
  for (const float cap : {0.0F, 2.0F}) {
    DistillationProblem p = distillation_problem(7, 53, true, 0);
    p.teacher.soft_cap = cap;
    expect_top(*backend, p, 1);
    expect_top(*backend, p, 20);
  }
}

TEST(TopChoices, OfFewerThanAreWantedEndWithNone) {
  const auto backend = backend_under_test();
  expect_top(*backend, distillation_problem(3, 6, true, 0), 8);
}

TEST(TopChoices, AreFoundInEachChunkOfRows) {
  const auto backend = backend_under_test();
  expect_top(*backend, distillation_problem(70, 40000, false, 0), 3);  // chunks of 52 rows
}

TEST(TopChoices, OfEqualLogitsAreTheFirst) {
  const auto backend = backend_under_test();
  DistillationProblem p;
  p.m = 1;
  p.choices = 5;
  p.excluded = {1, 9, 1, -3};
  p.teacher = {1, 5, {1}, {1, 9, 5, 5, 5}, {}};
  EXPECT_EQ(top_of(*backend, p, 2).ids, (Integers{2, 3}));
  EXPECT_EQ(top_of(*backend, p, 5).ids, (Integers{2, 3, 4, 0, -1}));
}

TEST(TopChoices, AreNoneWhereALogitIsNotFinite) {
  const auto backend = backend_under_test();
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    DistillationProblem p = distillation_problem(2, 53, true, 0);
    p.teacher.bias = Floats(53);
    p.teacher.bias[40] = bad;
    const Top found = top_of(*backend, p, 4);
    EXPECT_EQ(found.ids, Integers(8, -1));
    for (const float each : found.log_p) EXPECT_TRUE(std::isnan(each));
  }
}

struct TopDistilled {
  Floats loss, divergence, dhidden, dhead, dbias;
};

enum class Wanted : std::uint8_t { all, input_alone, losses_alone };

/// Gradients of weights are added to zeros; that of the input overwrites.
TopDistilled distil_top(Backend& backend, const DistillationProblem& p, const Top& top,
                        Wanted wanted = Wanted::all) {
  DeviceArrays arrays(backend);
  const HeadProblem& s = p.student;
  const bool bias = !s.bias.empty();
  const std::int64_t k = std::ssize(top.ids) / p.m;
  const Tensor loss = arrays.empty({p.m}), divergence = arrays.empty({p.m});
  const Tensor dhidden = arrays.of({p.m, s.d}, Floats(s.hidden.size(), 99.0F));
  const Tensor dhead = arrays.of({s.vocabulary, s.d}, Floats(s.head.size()));
  const Tensor dbias = bias ? arrays.of({s.vocabulary}, Floats(s.bias.size())) : Tensor{};
  DivergenceSpec spec = p.spec(arrays);
  spec.temperature = 1;
  backend.run(ops::TopDistillation{
      .hidden = arrays.of({p.m, s.d}, s.hidden),
      .head = arrays.of({s.vocabulary, s.d}, s.head),
      .bias = bias ? arrays.of({s.vocabulary}, s.bias) : Tensor{},
      .cross_entropy = p.cross_entropy(),
      .teacher = {arrays.of({p.m, k}, top.ids), arrays.of({p.m, k}, top.log_p)},
      .spec = spec,
      .weight = p.weight,
      .labels = arrays.of({p.m}, p.labels),
      .loss = loss,
      .divergence = divergence,
      .dhidden = wanted == Wanted::losses_alone ? Tensor{} : dhidden,
      .dhead = wanted == Wanted::all ? dhead : Tensor{},
      .dbias = wanted == Wanted::all ? dbias : Tensor{}});
  return {arrays.floats(loss), arrays.floats(divergence), arrays.floats(dhidden),
          arrays.floats(dhead), bias ? arrays.floats(dbias) : Floats{}};
}

Doubles expected_top_divergence(const DistillationProblem& p, const Top& top,
                                const Doubles& student_logits) {
  const Doubles log_q = log_probabilities(p, student_logits);
  const std::size_t k = top.ids.size() / static_cast<std::size_t>(p.m);
  Doubles result(static_cast<std::size_t>(p.m));
  for (std::size_t i = 0; i < top.ids.size(); ++i) {
    if (top.ids[i] < 0 || top.ids[i] >= p.choices) continue;
    const double log =
        log_q[i / k * static_cast<std::size_t>(p.choices) + static_cast<std::size_t>(top.ids[i])];
    if (std::isfinite(log)) result[i / k] += std::exp(double{top.log_p[i]}) * (top.log_p[i] - log);
  }
  return result;
}

/// Against the numbers of the definition, differentiated numerically in f64.
void expect_top_oracle(Backend& backend, const DistillationProblem& p, const Top& top) {
  const HeadProblem& s = p.student;
  const Doubles hidden = doubles(s.hidden), head = doubles(s.head), bias = doubles(s.bias);
  const auto losses = [&](const Doubles& h, const Doubles& w, const Doubles& b) {
    return cross_entropy_oracle(gemm_oracle(h, w, b, p.m, s.vocabulary, s.d), p.labels,
                                p.cross_entropy())
        .loss;
  };
  const auto objective = [&](const Doubles& h, const Doubles& w, const Doubles& b) {
    Doubles result = losses(h, w, b);
    const Doubles divergence = expected_top_divergence(p, top, s.logits(p.m, h, w, b));
    for (std::size_t i = 0; i < result.size(); ++i) {
      result[i] = (1.0 - p.weight) * result[i] + double{p.weight} * divergence[i];
    }
    return result;
  };
  const TopDistilled found = distil_top(backend, p, top);
  EXPECT_LT(relative_error(found.divergence, expected_top_divergence(p, top, s.logits(p.m))), 2e-6);
  EXPECT_LT(relative_error(found.loss, losses(hidden, head, bias)), 1e-6);
  const Floats dy(static_cast<std::size_t>(p.m), p.factor);
  const auto expect = [&](const Floats& gradient, const Floats& at, auto forward) {
    EXPECT_LT(relative_l2(gradient, numerical_gradient(at, dy, forward)), gradient_tolerance);
  };
  expect(found.dhidden, s.hidden, [&](const auto& x) { return objective(x, head, bias); });
  expect(found.dhead, s.head, [&](const auto& x) { return objective(hidden, x, bias); });
  if (s.bias.empty()) return;
  expect(found.dbias, s.bias, [&](const auto& x) { return objective(hidden, head, x); });
}

TEST(TopDistillation, EqualsTheOracleAndFiniteDifferences) {
  const auto backend = backend_under_test();
  for (const bool bias : {false, true}) {
    for (const float cap : {0.0F, 3.0F}) {
      SCOPED_TRACE(cap);
      const DistillationProblem p = distillation_problem(3, 29, bias, cap);
      expect_top_oracle(*backend, p, top_oracle(p, 5));
    }
  }
}

TEST(TopDistillation, TakesAnyWeightAndSmoothedLabels) {
  const auto backend = backend_under_test();
  for (const float weight : {0.0F, 1.0F}) {
    for (const float smoothing : {0.0F, 0.1F}) {
      DistillationProblem p = distillation_problem(3, 29, true, 3);
      p.weight = weight;
      p.label_smoothing = smoothing;
      p.excluded.push_back(p.excluded[1]);  // an id that stands there twice
      p.labels[0] = 14;                     // one that is no choice
      expect_top_oracle(*backend, p, top_oracle(p, 5));
    }
  }
}

TEST(TopDistillation, IdsThatAreNoChoiceStandForNothing) {
  const auto backend = backend_under_test();
  const DistillationProblem p = distillation_problem(3, 29, true, 0);
  Top top = top_oracle(p, 5);
  top.ids[1] = -1;
  top.ids[6] = 29;  // outside the choices
  top.ids[8] = 14;  // excluded
  expect_top_oracle(*backend, p, top);
}

TEST(TopDistillation, OfNothingKnownIsTheLabelsPart) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(3, 29, true, 0);
  const Top none{Integers(6, -1), Floats(6)};
  expect_top_oracle(*backend, p, none);
  p.weight = 1;
  const TopDistilled found = distil_top(*backend, p, none);
  EXPECT_EQ(found.dhidden, Floats(p.student.hidden.size()));
}

TEST(TopDistillation, OfAllChoicesIsDistillationFromTheTeacher) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(40, 61, true, 3);
  p.temperature = 1;
  const TopDistilled found = distil_top(*backend, p, top_oracle(p, 60));
  const Doubles expected =
      divergence_oracle(p.teacher.logits(p.m), p.student.logits(p.m), p.m, p.chosen(), 1);
  EXPECT_LT(relative_error(found.divergence, expected), 2e-6);
}

// An id that the student would never choose again must not spoil what the others teach.
TEST(TopDistillation, BearsAnExcludedIdWithAHugeLogit) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(3, 29, true, 0);
  p.student.scale = 1;
  p.student.bias[static_cast<std::size_t>(p.excluded[1])] = 150;
  expect_top_oracle(*backend, p, top_oracle(p, 5));
}

TEST(TopDistillation, GivesWhatIsWantedAlone) {
  const auto backend = backend_under_test();
  const DistillationProblem p = distillation_problem(40, 61, true, 3);
  const Top top = top_oracle(p, 5);
  const TopDistilled all = distil_top(*backend, p, top);
  for (const Wanted wanted : {Wanted::input_alone, Wanted::losses_alone}) {
    const TopDistilled found = distil_top(*backend, p, top, wanted);
    EXPECT_EQ(found.loss, all.loss);
    EXPECT_EQ(found.divergence, all.divergence);
    EXPECT_EQ(found.dhidden,
              wanted == Wanted::input_alone ? all.dhidden : Floats(all.dhidden.size(), 99.0F));
    EXPECT_EQ(found.dhead, Floats(p.student.head.size()));
  }
}

TEST(TopDistillation, IsNaNWhereALogitIsNotFinite) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(2, 53, true, 0);
  const Top top = top_oracle(p, 4);
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    p.student.bias[40] = bad;
    for (const float each : distil_top(*backend, p, top).divergence) EXPECT_TRUE(std::isnan(each));
  }
}

TEST(TopDistillation, IsAddedToTheGradientsOfWeightsInEachChunk) {
  const auto backend = backend_under_test();
  // Rows of several chunks sum up to what single rows give.
  const DistillationProblem whole = distillation_problem(66, 40000, true, 0);
  const Top top = top_oracle(whole, 3);
  const TopDistilled found = distil_top(*backend, whole, top);
  Doubles dbias(static_cast<std::size_t>(whole.student.vocabulary));
  for (std::int64_t i = 0; i < whole.m; ++i) {
    DistillationProblem one = whole;
    one.m = 1;
    const auto row = [i](const auto& values, std::int64_t width) {
      return std::decay_t<decltype(values)>(values.begin() + i * width,
                                            values.begin() + (i + 1) * width);
    };
    one.student.hidden = row(whole.student.hidden, whole.student.d);
    one.labels = {whole.labels[static_cast<std::size_t>(i)]};
    const Floats part = distil_top(*backend, one, {row(top.ids, 3), row(top.log_p, 3)}).dbias;
    for (std::size_t j = 0; j < part.size(); ++j) dbias[j] += part[j];
  }
  EXPECT_LT(relative_l2(found.dbias, dbias), gradient_tolerance);
}

// Its values are PyTorch's in f64: tests/interop/divergence_golden.py.
TEST(TopDistillation, EqualsPyTorchs) {
  const auto backend = backend_under_test();
  const nlohmann::json golden = divergence_golden();
  DistillationProblem p = golden_problem(golden);
  const nlohmann::json& of_top = golden.at("top");
  const Top top{of_top.at("ids").get<Integers>(), of_top.at("log_p").get<Floats>()};
  const Top known = top_of(*backend, p, std::ssize(top.ids) / p.m);
  EXPECT_EQ(known.ids, top.ids);
  EXPECT_LT(relative_error(known.log_p, doubles(top.log_p)), 1e-6);
  p.weight = of_top.at("weight");
  const auto expected = [&](const char* name) { return of_top.at(name).get<Doubles>(); };
  const TopDistilled found = distil_top(*backend, p, top);
  EXPECT_LT(relative_error(found.divergence, expected("divergence")), 2e-6);
  EXPECT_LT(relative_l2(found.dhidden, expected("dhidden")), 2e-6);
  EXPECT_LT(relative_l2(found.dhead, expected("dhead")), 2e-6);
  EXPECT_LT(relative_l2(found.dbias, expected("dbias")), 2e-6);
}

TEST(TopDistillation, RefusesLabelsOutsideTheVocabulary) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(2, 5, false, 0);
  const Top top = top_oracle(p, 2);
  for (const std::int32_t label : {-1, 6}) {
    p.labels[1] = label;
    EXPECT_THROW(distil_top(*backend, p, top), Error);
  }
}

TEST(TopDistillation, RefusesOtherTemperatures) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(2, 5, false, 0);
  DeviceArrays arrays(*backend);
  const auto head = packed(*backend, p.teacher);
  EXPECT_THROW(backend->run(ops::LinearTopChoices{
                   .input = head_input(arrays, p.teacher, p.m, *head),
                   .spec = p.spec(arrays),
                   .top = {arrays.empty(Dtype::i32, {p.m, 2}), arrays.empty({p.m, 2})}}),
               Error);
}

}  // namespace
}  // namespace gist::test
