#include "gist/evaluation_system.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/gist/evaluation_systems.h"

namespace gist {
namespace {

using testing::full_prompt_setup;
using testing::two_systems;
using testing::word_model;
using testing::word_setup;

Record swan() {
  return parse_record(R"({"instruction": "Repeat the word.", "input": "swan", "output": "swan"})",
                      "test", 1, 0);
}

TEST(EvaluatedSystem, IsUnderTheConditionOfItsTrainingUnlessTheCallerSaysOne) {
  const Systems systems = two_systems();
  EXPECT_EQ(systems[0]->description().condition, Condition::pos);
  EXPECT_EQ(systems[1]->description().condition, Condition::gist);
  EXPECT_EQ(systems[1]->description().gist_tokens, 1);
}

TEST(EvaluatedSystem, HasANameOfItsOwn) {
  Systems systems = two_systems();
  EXPECT_EQ(systems[0]->description().name, "wordtasks-llama-gist pos");
  EXPECT_EQ(systems[1]->description().name, "wordtasks-llama-gist gist");
  systems.push_back(open_system(word_model, word_setup()));
  systems.push_back(open_system(word_model, word_setup()));
  give_names(systems);
  for (std::size_t i = 0; i < systems.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      EXPECT_NE(systems[i]->description().name, systems[j]->description().name);
    }
  }
}

TEST(EvaluatedSystem, TheFirstUnderPosIsTheReference) {
  Systems systems;
  systems.push_back(open_system(word_model, word_setup()));
  EXPECT_EQ(reference_among(systems), 0U);
  SystemSetup baseline = full_prompt_setup();
  baseline.baseline = Baseline::cut;
  baseline.kept_tokens = 1;
  systems.push_back(open_system(word_model, baseline));
  EXPECT_EQ(reference_among(systems), 0U);
  systems.push_back(open_system(word_model, full_prompt_setup()));
  EXPECT_EQ(reference_among(systems), 2U);
}

TEST(EvaluatedSystem, ABaselineKeepsItsTokensOfThePrompt) {
  SystemSetup setup = full_prompt_setup();
  const EvaluationItem whole = open_system(word_model, setup)->read(swan(), "test");
  setup.kept_tokens = 1;
  setup.baseline = Baseline::cut;
  const EvaluationItem cut = open_system(word_model, setup)->read(swan(), "test");
  EXPECT_LT(cut.tokens(), whole.tokens());
  setup.baseline = Baseline::pooled;
  const auto pooled = open_system(word_model, setup);
  EXPECT_EQ(pooled->description().baseline, "pooled");
  const EvaluationItem item = pooled->read(swan(), "test");
  EXPECT_EQ(item.context.kept_tokens, 1);
  EXPECT_FALSE(item.prompt.empty());
  EXPECT_TRUE(item.context.sequence.gists.empty());
}

TEST(EvaluatedSystem, AnswersEndWhereTheModelsDo) {
  const auto system = open_system(word_model, word_setup());
  GenerationOptions limits;
  limits.max_new_tokens = 7;
  const GenerationOptions options = system->generation(limits);
  EXPECT_EQ(options.max_new_tokens, 7);
  EXPECT_EQ(options.ends, system->files().ends.ids);
  EXPECT_EQ(options.sampling.banned, system->files().tokenizer.gist_token());
}

TEST(EvaluatedSystem, ARecordWithoutAnAnswerCantBeMeasured) {
  const auto system = open_system(word_model, word_setup());
  const Record record =
      parse_record(R"({"instruction": "Repeat.", "input": "swan"})", "test", 1, 0);
  testing::expect_error(ErrorKind::data, "output", [&] { system->read(record, "test"); });
}

}  // namespace
}  // namespace gist
