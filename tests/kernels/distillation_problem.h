// A teacher's and a student's hidden states and heads, as the tests of distillation have them.
#pragma once

#include <cstdint>
#include <fstream>
#include <memory>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {

/// One model's part of a problem.
struct HeadProblem {
  std::int64_t d = 0, vocabulary = 0;
  Floats hidden, head, bias;
  float scale = 1, soft_cap = 0;

  Doubles logits(std::int64_t m, const Doubles& h, const Doubles& w, const Doubles& b) const {
    Doubles z = gemm_oracle(h, w, b, m, vocabulary, d);
    for (double& each : z) each = scaled_and_capped(each, scale, soft_cap);
    return z;
  }
  Doubles logits(std::int64_t m) const {
    return logits(m, doubles(hidden), doubles(head), doubles(bias));
  }
};

struct DistillationProblem {
  std::int64_t m = 0;
  HeadProblem teacher, student;
  Integers labels, excluded;
  std::int64_t choices = 0;
  float temperature = 1, weight = 1, factor = 0.3F, label_smoothing = 0;

  std::vector<bool> chosen() const {
    std::vector<bool> result(static_cast<std::size_t>(choices), true);
    for (const std::int32_t each : excluded) {
      if (each >= 0 && each < choices) result[static_cast<std::size_t>(each)] = false;
    }
    return result;
  }
  CrossEntropySpec cross_entropy() const {
    return {student.scale, student.soft_cap, factor, label_smoothing};
  }
  DivergenceSpec spec(DeviceArrays& arrays) const {
    const auto count = static_cast<std::int64_t>(excluded.size());
    return {temperature, choices, excluded.empty() ? Tensor{} : arrays.of({count}, excluded)};
  }
};

inline HeadProblem head_problem(Random& random, std::int64_t m, std::int64_t d,
                                std::int64_t vocabulary, bool bias, float scale, float soft_cap) {
  HeadProblem p{d,
                vocabulary,
                random.floats(m * d),
                random.floats(vocabulary * d, 0.6F),
                bias ? random.floats(vocabulary) : Floats{},
                scale,
                soft_cap};
  return p;
}

/// The student's vocabulary has a gist token more than the teacher's, and another is excluded.
inline DistillationProblem distillation_problem(std::int64_t m, std::int64_t vocabulary, bool bias,
                                                float soft_cap) {
  Random random(7);
  DistillationProblem p;
  p.m = m;
  p.teacher = head_problem(random, m, 9, vocabulary, !bias, -0.7F, 0);
  p.student = head_problem(random, m, 13, vocabulary + 1, bias, 0.5F, soft_cap);
  p.choices = vocabulary;
  p.excluded = {static_cast<std::int32_t>(vocabulary), static_cast<std::int32_t>(vocabulary / 2)};
  for (std::int64_t i = 0; i < m; ++i) p.labels.push_back(random.below(vocabulary));
  p.temperature = 1.7F;
  p.weight = 0.6F;
  return p;
}

inline HeadInput head_input(DeviceArrays& arrays, const HeadProblem& p, std::int64_t m,
                            const Matrix& head) {
  return {arrays.of({m, p.d}, p.hidden), &head,
          p.bias.empty() ? Tensor{} : arrays.of({p.vocabulary}, p.bias), p.scale, p.soft_cap};
}

inline std::unique_ptr<Matrix> packed(Backend& backend, const HeadProblem& p) {
  return backend.pack(host_tensor({p.vocabulary, p.d}, p.head));
}

inline HeadProblem head_problem(const nlohmann::json& golden, std::int64_t m) {
  HeadProblem p;
  p.hidden = golden.at("hidden").get<Floats>();
  p.head = golden.at("head").get<Floats>();
  p.bias = golden.at("bias").get<Floats>();
  p.vocabulary = std::ssize(p.bias);
  p.d = std::ssize(p.hidden) / m;
  return p;
}

/// Its values are PyTorch's in f64: tests/interop/divergence_golden.py.
inline nlohmann::json divergence_golden() {
  std::ifstream file(GIST_FIXTURES "/torch/divergence.json");
  return nlohmann::json::parse(file);
}

/// What all its cases have in common.
inline DistillationProblem golden_problem(const nlohmann::json& golden) {
  DistillationProblem p;
  p.m = golden.at("rows");
  p.choices = golden.at("choices");
  p.excluded = golden.at("excluded").get<Integers>();
  p.labels = golden.at("labels").get<Integers>();
  p.teacher = head_problem(golden.at("teacher"), p.m);
  p.student = head_problem(golden.at("student"), p.m);
  p.factor = 1;
  return p;
}

}  // namespace gist::test
