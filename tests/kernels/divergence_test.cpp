#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/distillation_problem.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct Divergence {
  Floats divergence;
  Integers teacher_best, student_best;
};

Divergence diverge(Backend& backend, const DistillationProblem& p) {
  DeviceArrays arrays(backend);
  const auto teacher = packed(backend, p.teacher), student = packed(backend, p.student);
  const Tensor divergence = arrays.empty({p.m});
  const Tensor teacher_best = arrays.empty(Dtype::i32, {p.m});
  const Tensor student_best = arrays.empty(Dtype::i32, {p.m});
  backend.run(ops::LinearDivergence{.teacher = head_input(arrays, p.teacher, p.m, *teacher),
                                    .student = head_input(arrays, p.student, p.m, *student),
                                    .spec = p.spec(arrays),
                                    .divergence = divergence,
                                    .teacher_best = teacher_best,
                                    .student_best = student_best});
  return {arrays.floats(divergence), arrays.integers(teacher_best), arrays.integers(student_best)};
}

struct Distilled {
  Floats loss, divergence, dhidden, dhead, dbias;
};

/// Gradients of weights, unless they are frozen, are added to zeros; that of the input overwrites.
Distilled distil(Backend& backend, const DistillationProblem& p, bool frozen = false) {
  DeviceArrays arrays(backend);
  const HeadProblem& s = p.student;
  const bool bias = !s.bias.empty();
  const auto teacher = packed(backend, p.teacher);
  const Tensor loss = arrays.empty({p.m}), divergence = arrays.empty({p.m});
  const Tensor dhidden = arrays.of({p.m, s.d}, Floats(s.hidden.size(), 99.0F));
  const Tensor dhead = arrays.of({s.vocabulary, s.d}, Floats(s.head.size()));
  const Tensor dbias = bias ? arrays.of({s.vocabulary}, Floats(s.bias.size())) : Tensor{};
  backend.run(ops::DistillationGradient{.hidden = arrays.of({p.m, s.d}, s.hidden),
                                        .head = arrays.of({s.vocabulary, s.d}, s.head),
                                        .bias = bias ? arrays.of({s.vocabulary}, s.bias) : Tensor{},
                                        .cross_entropy = p.cross_entropy(),
                                        .teacher = head_input(arrays, p.teacher, p.m, *teacher),
                                        .spec = p.spec(arrays),
                                        .weight = p.weight,
                                        .labels = arrays.of({p.m}, p.labels),
                                        .loss = loss,
                                        .divergence = divergence,
                                        .dhidden = dhidden,
                                        .dhead = frozen ? Tensor{} : dhead,
                                        .dbias = frozen ? Tensor{} : dbias});
  return {arrays.floats(loss), arrays.floats(divergence), arrays.floats(dhidden),
          arrays.floats(dhead), bias ? arrays.floats(dbias) : Floats{}};
}

Doubles expected_divergence(const DistillationProblem& p) {
  return divergence_oracle(p.teacher.logits(p.m), p.student.logits(p.m), p.m, p.chosen(),
                           p.temperature);
}

/// What the gradients are those of, before the factor: a value a row.
Doubles objective(const DistillationProblem& p, const Doubles& hidden, const Doubles& head,
                  const Doubles& bias) {
  const HeadProblem& s = p.student;
  const Doubles loss = cross_entropy_oracle(gemm_oracle(hidden, head, bias, p.m, s.vocabulary, s.d),
                                            p.labels, p.cross_entropy())
                           .loss;
  const Doubles divergence = divergence_oracle(
      p.teacher.logits(p.m), s.logits(p.m, hidden, head, bias), p.m, p.chosen(), p.temperature);
  Doubles result;
  for (std::size_t i = 0; i < loss.size(); ++i) {
    result.push_back((1.0 - p.weight) * loss[i] +
                     double{p.weight} * p.temperature * p.temperature * divergence[i]);
  }
  return result;
}

/// Against the numbers of the definition, differentiated numerically in f64.
void expect_gradients(const Distilled& found, const DistillationProblem& p) {
  const HeadProblem& s = p.student;
  const Doubles hidden = doubles(s.hidden), head = doubles(s.head), bias = doubles(s.bias);
  const Floats dy(static_cast<std::size_t>(p.m), p.factor);
  const auto expect = [&](const Floats& gradient, const Floats& at, auto forward) {
    EXPECT_LT(relative_l2(gradient, numerical_gradient(at, dy, forward)), gradient_tolerance);
  };
  expect(found.dhidden, s.hidden, [&](const auto& x) { return objective(p, x, head, bias); });
  expect(found.dhead, s.head, [&](const auto& x) { return objective(p, hidden, x, bias); });
  if (s.bias.empty()) return;
  expect(found.dbias, s.bias, [&](const auto& x) { return objective(p, hidden, head, x); });
}

void expect_oracle(Backend& backend, const DistillationProblem& p) {
  const Distilled found = distil(backend, p);
  EXPECT_LT(relative_error(found.divergence, expected_divergence(p)), 2e-6);
  const HeadProblem& s = p.student;
  EXPECT_LT(relative_error(found.loss, cross_entropy_oracle(gemm_oracle(s.hidden, s.head, s.bias,
                                                                        p.m, s.vocabulary, s.d),
                                                            p.labels, p.cross_entropy())
                                           .loss),
            1e-6);
  expect_gradients(found, p);
}

TEST(Divergence, EqualsTheOracle) {
  const auto backend = backend_under_test();
  for (const bool bias : {false, true}) {
    for (const float cap : {0.0F, 3.0F}) {
      const DistillationProblem p = distillation_problem(5, 53, bias, cap);
      EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected_divergence(p)), 2e-6);
    }
  }
}

TEST(Divergence, EqualsTheOracleWhereRowsTakeSeveralChunks) {
  const auto backend = backend_under_test();
  const DistillationProblem p = distillation_problem(70, 40000, true, 0);  // chunks of 32 rows
  EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected_divergence(p)), 5e-6);
}

TEST(Divergence, FindsTheBestChoicesWithoutTheExcludedOnes) {
  const auto backend = backend_under_test();
  DistillationProblem p;
  p.m = 1;
  p.choices = 5;
  p.excluded = {1, 9, -3};
  p.teacher = {1, 5, {1}, {1, 9, 5, 5, 2}, {}};
  p.student = {1, 6, {1}, {4, 8, 1, 2, 4, 99}, {}};
  const Divergence found = diverge(*backend, p);
  EXPECT_EQ(found.teacher_best, Integers{2});
  EXPECT_EQ(found.student_best, Integers{0});
}

TEST(Divergence, OfEqualDistributionsIsZeroAndOfNearOnesExact) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(4, 53, false, 0);
  p.excluded = {};
  p.student = p.teacher;
  for (const float each : diverge(*backend, p).divergence) EXPECT_NEAR(each, 0, 1e-12);
  for (float& each : p.student.hidden) each *= 1.001F;
  const Doubles expected = expected_divergence(p);
  ASSERT_LT(expected[0], 1e-5);
  EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected), 1e-3);
}

TEST(Divergence, EqualsTheOracleWhereProbabilitiesVanish) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(3, 53, false, 0);
  for (float& each : p.teacher.head) each *= 100;
  for (float& each : p.student.head) each *= 100;
  EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected_divergence(p)), 2e-6);
}

TEST(Divergence, IsNaNWhereALogitIsNotFinite) {
  const auto backend = backend_under_test();
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    for (const bool of_teacher : {true, false}) {
      DistillationProblem p = distillation_problem(2, 53, true, 0);
      p.teacher.bias = Floats(53);
      (of_teacher ? p.teacher : p.student).bias[40] = bad;
      for (const float each : diverge(*backend, p).divergence) EXPECT_TRUE(std::isnan(each));
      for (const float each : distil(*backend, p).divergence) EXPECT_TRUE(std::isnan(each));
    }
  }
}

TEST(Distillation, EqualsTheOracleAndFiniteDifferences) {
  const auto backend = backend_under_test();
  for (const bool bias : {false, true}) {
    for (const float cap : {0.0F, 3.0F}) {
      SCOPED_TRACE(cap);
      expect_oracle(*backend, distillation_problem(3, 29, bias, cap));
    }
  }
}

TEST(Distillation, TakesAnyWeightAndSmoothedLabels) {
  const auto backend = backend_under_test();
  for (const float weight : {0.0F, 1.0F}) {
    for (const float smoothing : {0.0F, 0.1F}) {
      DistillationProblem p = distillation_problem(3, 29, true, 3);
      p.weight = weight;
      p.label_smoothing = smoothing;
      p.labels[0] = 14;  // an id that is no choice
      expect_oracle(*backend, p);
    }
  }
}

TEST(Distillation, WithoutAWeightIsCrossEntropy) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(40, 61, true, 3);
  p.weight = 0;
  const Distilled found = distil(*backend, p);
  const HeadProblem& s = p.student;
  const CrossEntropyGradients expected = cross_entropy_gradients_oracle(
      {p.m, s.d, s.vocabulary, s.hidden, s.head, s.bias, p.labels, p.cross_entropy()});
  EXPECT_LT(relative_l2(found.dhidden, expected.dhidden), gradient_tolerance);
  EXPECT_LT(relative_l2(found.dhead, expected.dhead), gradient_tolerance);
  EXPECT_LT(relative_l2(found.dbias, expected.dbias), gradient_tolerance);
}

TEST(Distillation, OfFrozenWeightsIsThatOfTheInputAlone) {
  const auto backend = backend_under_test();
  const DistillationProblem p = distillation_problem(40, 61, true, 3);
  const Distilled all = distil(*backend, p), found = distil(*backend, p, true);
  EXPECT_EQ(found.loss, all.loss);
  EXPECT_EQ(found.divergence, all.divergence);
  EXPECT_EQ(found.dhidden, all.dhidden);
  EXPECT_EQ(found.dhead, Floats(p.student.head.size()));
}

TEST(Distillation, HasTheSameDivergenceAsWithoutAGradient) {
  const auto backend = backend_under_test();
  const DistillationProblem p = distillation_problem(70, 300, true, 3);
  EXPECT_LT(relative_error(distil(*backend, p).divergence, expected_divergence(p)), 2e-6);
  EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected_divergence(p)), 2e-6);
}

TEST(Distillation, IsAddedToTheGradientsOfWeightsInEachChunk) {
  const auto backend = backend_under_test();
  // Rows of several chunks sum up to what single rows give.
  const DistillationProblem whole = distillation_problem(66, 40000, true, 0);
  const Distilled found = distil(*backend, whole);
  Doubles dbias(static_cast<std::size_t>(whole.student.vocabulary));
  for (std::int64_t i = 0; i < whole.m; ++i) {
    DistillationProblem one = whole;
    one.m = 1;
    const auto row = [i](const HeadProblem& p) {
      return Floats(p.hidden.begin() + i * p.d, p.hidden.begin() + (i + 1) * p.d);
    };
    one.teacher.hidden = row(whole.teacher);
    one.student.hidden = row(whole.student);
    one.labels = {whole.labels[static_cast<std::size_t>(i)]};
    const Floats part = distil(*backend, one).dbias;
    for (std::size_t j = 0; j < part.size(); ++j) dbias[j] += part[j];
  }
  EXPECT_LT(relative_l2(found.dbias, dbias), gradient_tolerance);
}

// Its values are PyTorch's in f64: tests/interop/divergence_golden.py.
TEST(Distillation, EqualsPyTorchs) {
  const auto backend = backend_under_test();
  const nlohmann::json golden = divergence_golden();
  DistillationProblem p = golden_problem(golden);
  ASSERT_EQ(golden.at("cases").size(), 2U);
  for (const nlohmann::json& each : golden.at("cases")) {
    SCOPED_TRACE(each.at("temperature"));
    p.temperature = each.at("temperature");
    p.weight = each.at("weight");
    const auto expected = [&](const char* name) { return each.at(name).get<Doubles>(); };
    EXPECT_LT(relative_error(diverge(*backend, p).divergence, expected("divergence")), 2e-6);
    const Distilled found = distil(*backend, p);
    EXPECT_LT(relative_error(found.divergence, expected("divergence")), 2e-6);
    EXPECT_LT(relative_error(found.loss, expected("loss")), 1e-6);
    EXPECT_LT(relative_l2(found.dhidden, expected("dhidden")), 2e-6);
    EXPECT_LT(relative_l2(found.dhead, expected("dhead")), 2e-6);
    EXPECT_LT(relative_l2(found.dbias, expected("dbias")), 2e-6);
  }
}

TEST(Distillation, RefusesLabelsOutsideTheVocabulary) {
  const auto backend = backend_under_test();
  DistillationProblem p = distillation_problem(2, 5, false, 0);
  for (const std::int32_t label : {-1, 6}) {
    p.labels[1] = label;
    EXPECT_THROW(distil(*backend, p), Error);
  }
}

}  // namespace
}  // namespace gist::test
