// The engine against the original implementation, f32 on the CPU.
#include "tests/core/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/answer_loss.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/core/test_backend.h"

namespace gist {
namespace {

constexpr double golden_tolerance = 1e-5;

LabelledSequence labelled(const Golden& golden, Condition condition) {
  return {golden.sequence, golden.labels, condition, nullptr, 0};
}

void expect_loss(const AnswerLoss& loss, const Golden& golden) {
  EXPECT_EQ(loss.labels, golden.labels);
  EXPECT_NEAR(loss.sum / loss.labels, golden.loss, golden_tolerance * std::max(1.0F, golden.loss));
}

/// The golden has [layers, kv_heads, k, dim], the engine [k, layers, kv_heads, dim].
std::vector<float> tokens_outermost(const std::vector<float>& golden, int heads, int k, int dim) {
  std::vector<float> result(golden.size());
  for (int i = 0; i < static_cast<int>(golden.size()) / dim; ++i) {
    const int token = i % k;
    const int head = i / k % heads;
    const int layer = i / k / heads;
    const int layers = static_cast<int>(golden.size()) / dim / k / heads;
    const int to = (token * layers + layer) * heads + head;
    std::copy_n(golden.begin() + i * dim, dim, result.begin() + to * dim);
  }
  return result;
}

void expect_activations(const GistActivations& gist, const Golden& golden, const ModelSpec& spec) {
  const StackSpec& stack = spec.stacks[0];
  ASSERT_EQ(gist.tokens, golden.gist().end - golden.gist().begin);
  EXPECT_LE(relative_error(
                gist.key, tokens_outermost(golden.key, stack.kv_heads, gist.tokens, stack.key_dim)),
            golden_tolerance);
  EXPECT_LE(relative_error(gist.value, tokens_outermost(golden.value, stack.kv_heads, gist.tokens,
                                                        stack.value_dim)),
            golden_tolerance);
  if (!golden.hidden.empty()) {
    EXPECT_LE(relative_error(gist.hidden, golden.hidden), golden_tolerance);
  }
}

GenerationOptions greedy_options(const LoadedModel& loaded, const std::string& set) {
  GenerationOptions options;
  options.max_new_tokens = greedy_tokens;
  options.ends = {loaded.eos};
  options.sampling.banned = gist_token_of(set);
  return options;
}

GenerationRequest request_of(const Golden& golden, Condition condition) {
  GenerationRequest request;
  request.sequence = golden.prompt();
  request.condition = condition;
  return request;
}

// --- one by one ---

using One = std::tuple<std::string, Condition, int, int>;
class GoldenOne : public testing::TestWithParam<One> {
 protected:
  std::string set() const { return std::get<0>(GetParam()); }
  Condition condition() const { return std::get<1>(GetParam()); }
  Golden golden_ =
      load_golden(set(), condition(), std::get<2>(GetParam()), std::get<3>(GetParam()));
  LoadedModel loaded_ = load_model(set());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};
};

TEST_P(GoldenOne, LogitsAndLoss) {
  const LabelledSequence sequence = labelled(golden_, condition());
  EXPECT_LE(relative_error(label_logits(model_, {&sequence, 1}, scratch_)[0], golden_.logits),
            golden_tolerance);
  expect_loss(answer_loss(model_, {&sequence, 1}, scratch_)[0], golden_);
}

TEST_P(GoldenOne, GistKeysAndValues) {
  if (condition() != Condition::gist) return;  // the goldens hold them for this condition
  expect_activations(compress_one(model_, golden_.sequence, scratch_), golden_, model_.spec());
}

TEST_P(GoldenOne, GreedyTokens) {
  const auto completion =
      complete(model_, greedy_options(loaded_, set()), {request_of(golden_, condition())})[0];
  EXPECT_EQ(completion.ids, golden_.greedy);
  EXPECT_EQ(completion.reason,
            golden_.greedy.size() == greedy_tokens ? FinishReason::length : FinishReason::eos);
}

INSTANTIATE_TEST_SUITE_P(, GoldenOne,
                         testing::Combine(testing::ValuesIn(golden_sets()),
                                          testing::ValuesIn(golden_conditions),
                                          testing::Values(1, 3), testing::Range(0, golden_prompts)),
                         [](const testing::TestParamInfo<One>& suite) {
                           return set_name(std::get<0>(suite.param)) + "_" +
                                  std::string(name_of(std::get<1>(suite.param))) + "_k" +
                                  std::to_string(std::get<2>(suite.param)) + "_" +
                                  std::to_string(std::get<3>(suite.param));
                         });

// --- all prompts of a set in one batch ---

class GoldenBatch : public testing::TestWithParam<std::string> {
 protected:
  struct Case {
    Condition condition;
    Golden golden;
  };
  /// Every prompt under every condition and k.
  std::vector<Case> cases() const {
    std::vector<Case> result;
    for (const Condition condition : golden_conditions) {
      for (const int k : {1, 3}) {
        for (int i = 0; i < golden_prompts; ++i) {
          result.push_back({condition, load_golden(GetParam(), condition, k, i)});
        }
      }
    }
    return result;
  }
  LoadedModel loaded_ = load_model(GetParam());
  const Model& model_ = *loaded_.model;
  Scratch scratch_{*loaded_.backend};
};

TEST_P(GoldenBatch, LogitsAndLossOfAllConditionsInOnePass) {
  const std::vector<Case> all = cases();
  std::vector<LabelledSequence> sequences;
  for (const Case& each : all) sequences.push_back(labelled(each.golden, each.condition));
  const auto logits = label_logits(model_, sequences, scratch_);
  const auto losses = answer_loss(model_, sequences, scratch_);
  for (std::size_t i = 0; i < all.size(); ++i) {
    SCOPED_TRACE(i);
    EXPECT_LE(relative_error(logits[i], all[i].golden.logits), golden_tolerance);
    expect_loss(losses[i], all[i].golden);
  }
}

TEST_P(GoldenBatch, GistKeysAndValuesOfDifferentKInOnePass) {
  std::vector<Golden> goldens;
  std::vector<Sequence> sequences;
  std::vector<Interval> kept;
  for (const Case& each : cases()) {
    if (each.condition != Condition::gist) continue;
    goldens.push_back(each.golden);
    sequences.push_back(head_of(each.golden.sequence));
    kept.push_back(each.golden.gist());
  }
  const auto gists = compress(model_, sequences, kept, Condition::gist, scratch_);
  for (std::size_t i = 0; i < goldens.size(); ++i) {
    SCOPED_TRACE(i);
    expect_activations(gists[i], goldens[i], model_.spec());
  }
}

TEST_P(GoldenBatch, GreedyTokensOfAllConditionsTogether) {
  const std::vector<Case> all = cases();
  std::vector<GenerationRequest> requests;
  for (const Case& each : all) requests.push_back(request_of(each.golden, each.condition));
  GenerationOptions options = greedy_options(loaded_, GetParam());
  options.max_new_tokens = generated_tokens(options.max_new_tokens);
  const auto completions = complete(model_, options, requests);
  for (std::size_t i = 0; i < all.size(); ++i) {
    std::vector<std::int32_t> expected = all[i].golden.greedy;
    if (std::ssize(expected) > options.max_new_tokens) {
      expected.resize(static_cast<std::size_t>(options.max_new_tokens));
    }
    EXPECT_EQ(completions[i].ids, expected) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(, GoldenBatch, testing::ValuesIn(golden_sets()),
                         [](const auto& suite) { return set_name(suite.param); });

}  // namespace
}  // namespace gist
