#include "gist/evaluation_run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "gist/evaluation_summary.h"
#include "tests/gist/evaluation_systems.h"

namespace gist {
namespace {

using testing::expect_error;
using testing::full_prompt_setup;
using testing::TemporaryDirectory;
using testing::two_systems;
using testing::word_model;
using testing::word_records;
using testing::word_setup;

EvaluationMeasures short_answers() {
  EvaluationMeasures measures;
  measures.generation.max_new_tokens = 8;
  return measures;
}

struct EvaluationRun : ::testing::Test {
  TemporaryDirectory directory;
  std::string path = (directory / "records.jsonl").string();
  RougeScorer rouge{false};
  Evaluation evaluation;

  EvaluationRun() { testing::write_file(path, word_records); }

  MeasuredSystems measure(const Systems& systems, const EvaluationMeasures& measures,
                          const EvaluationEvents& events = {}) {
    EvaluationData data({path});
    const EvaluationItems items = read_items(systems, data, {}, evaluation);
    return measure_systems(systems, items, measures, rouge, events, evaluation);
  }
};

TEST_F(EvaluationRun, MeasuresEachRecordOfEachSystem) {
  EvaluationMeasures measures = short_answers();
  measures.fidelity = true;
  EXPECT_TRUE(measure(two_systems(), measures).whole);
  ASSERT_EQ(evaluation.systems.size(), 2U);
  EXPECT_EQ(evaluation.reference_system, 0U);
  for (const SystemResults& system : evaluation.systems) {
    ASSERT_EQ(system.records.size(), 3U);
    for (const RecordResult& record : system.records) {
      EXPECT_GT(record.loss.labels, 0);
      EXPECT_TRUE(std::isfinite(record.loss.sum));
      EXPECT_LE(record.completion_tokens, 8);
      EXPECT_GT(record.kept_bytes, 0);
    }
  }
  // The gist model reads what the full prompt's does, and keeps its gist token alone.
  EXPECT_EQ(evaluation.systems[1].records[0].kept_tokens, 1);
  EXPECT_GT(evaluation.systems[0].records[0].kept_tokens, 1);
  EXPECT_EQ(evaluation.systems[0].records[0].fidelity.labels, 0);
  EXPECT_GT(evaluation.systems[1].records[0].fidelity.divergence, 0);

  BootstrapOptions bootstrap;
  bootstrap.resamples = 50;
  const EvaluationSummary summary = summarise(evaluation, bootstrap);
  EXPECT_EQ(summary.all.records, 3U);
  EXPECT_EQ(summary.all.systems.size(), 2U);
}

TEST_F(EvaluationRun, ASystemAnswersAsItselfDoes) {
  Systems systems;
  for (int i = 0; i < 2; ++i) systems.push_back(open_system(word_model, full_prompt_setup()));
  EvaluationMeasures measures = short_answers();
  measures.fidelity = true;
  measure(systems, measures);
  for (std::size_t i = 0; i < 3; ++i) {
    const RecordResult& one = evaluation.systems[0].records[i];
    const RecordResult& other = evaluation.systems[1].records[i];
    EXPECT_EQ(one.completion, other.completion);
    EXPECT_EQ(one.loss.sum, other.loss.sum);
    EXPECT_NEAR(other.fidelity.divergence, 0, 1e-6);
    EXPECT_EQ(other.fidelity.agreements, other.fidelity.labels);
  }
}

TEST_F(EvaluationRun, ThePassesThatRecordsShareDontChangeTheirLosses) {
  measure(two_systems(), short_answers());
  const Evaluation together = std::exchange(evaluation, {});
  EvaluationMeasures measures = short_answers();
  measures.generation.batch_tokens = 1;
  measure(two_systems(), measures);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(evaluation.systems[1].records[i].loss.sum, together.systems[1].records[i].loss.sum,
                1e-4);
  }
}

TEST_F(EvaluationRun, TellsEachPhaseFromItsBeginningToItsEnd) {
  std::vector<std::string> heard;
  EvaluationEvents events;
  events.loading = [&](const EvaluatedSystem& system) {
    heard.push_back("loading " + system.description().name);
  };
  events.loaded = [&](const EvaluatedSystem& system, const LoadedModel& loaded) {
    EXPECT_EQ(loaded.model.spec().vocabulary, system.spec().vocabulary);
    heard.push_back("loaded");
  };
  events.progress = [&](const EvaluationProgress& progress) {
    EXPECT_EQ(progress.total, 3U);
    if (progress.done == 0) heard.push_back("begins " + progress.system);
    if (progress.done == progress.total) heard.push_back("ends");
  };
  Systems systems;
  systems.push_back(open_system(word_model, word_setup()));
  measure(systems, short_answers(), events);
  const std::string name = "wordtasks-llama-gist";
  EXPECT_THAT(heard, ::testing::ElementsAre("loading " + name, "loaded", "begins " + name, "ends",
                                            "begins " + name, "ends"));
}

TEST_F(EvaluationRun, AStopEndsItEarly) {
  EvaluationEvents events;
  events.run.stop_requested = [] { return true; };
  EXPECT_FALSE(measure(two_systems(), short_answers(), events).whole);
}

TEST_F(EvaluationRun, TheCallerMayOpenTheDevice) {
  int opened = 0;
  EvaluationMeasures measures = short_answers();
  measures.open_backend = [&](const ModelSetup& setup) {
    ++opened;
    return open_device(setup.device, setup.compute);
  };
  measure(two_systems(), measures);
  EXPECT_EQ(opened, 2);
}

TEST_F(EvaluationRun, CountsAndTimesEachWayOfCaching) {
  EvaluationMeasures measures = short_answers();
  measures.cost = true;
  CostTiming announced;
  EvaluationEvents events;
  events.cost_timing = [&](const CostTiming& timing) { announced = timing; };
  const MeasuredSystems measured = measure(two_systems(), measures, events);
  ASSERT_TRUE(measured.cost.has_value());
  const CostReport& cost = *measured.cost;
  EXPECT_EQ(cost.records, 3);
  ASSERT_EQ(cost.ways.size(), 3U);
  EXPECT_EQ(announced.ways, 3U);
  EXPECT_EQ(announced.records_in_all, 3U);
  EXPECT_GT(cost.ways[0].read_tokens, cost.ways[2].read_tokens);
  EXPECT_GT(cost.ways[0].reading_flops().visible, cost.ways[2].reading_flops().visible);
}

TEST_F(EvaluationRun, AMeasureThatTheSystemsCantGiveIsRefused) {
  Systems systems;
  systems.push_back(open_system(word_model, full_prompt_setup()));
  EvaluationMeasures fidelity = short_answers(), cost = short_answers();
  fidelity.fidelity = cost.cost = true;
  expect_error(ErrorKind::usage, "another one", [&] { measure(systems, fidelity); });
  evaluation = {};
  expect_error(ErrorKind::usage, "under gist", [&] { measure(systems, cost); });
}

TEST_F(EvaluationRun, NeedsARecord) {
  testing::write_file(path, "");
  expect_error(ErrorKind::data, "no record", [&] { measure(two_systems(), short_answers()); });
}

TEST_F(EvaluationRun, CompletionsAreScoredWithoutAModel) {
  testing::write_file(path, R"({"completion": "red hats", "output": "red hats"})");
  EvaluationData data({path});
  read_completions(data, {}, rouge, evaluation);
  ASSERT_EQ(evaluation.systems.size(), 1U);
  EXPECT_TRUE(evaluation.systems[0].records.at(0).scores.exact);
}

}  // namespace
}  // namespace gist
