#include "gist/train_session.h"

#include "formats/files/json_text.h"
#include "gist/train_log.h"
#include "tests/gist/small_training.h"

namespace gist {
namespace {

using testing::content_of;
using testing::SmallTraining;
using testing::TemporaryDirectory;
using testing::training_records;

TEST(TrainSession, LeavesAModelThatIsOpenedAndItsMetrics) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  small.task.steps = 30;
  const TrainOutput output(small.task.output, false);
  std::vector<TrainStep> steps;
  TrainEvents events;
  events.stepped = [&](const TrainStep& step) { steps.push_back(step); };
  const TrainResult result = small.train(events);
  EXPECT_EQ(result.step, 30);
  EXPECT_FALSE(result.stopped);
  EXPECT_FALSE(result.diverged);
  EXPECT_LT(result.loss, result.first_loss);
  ASSERT_EQ(steps.size(), 30U);
  EXPECT_EQ(steps.back().result.loss, result.loss);
  const std::string metrics = content_of(small.task.output / metrics_name);
  EXPECT_EQ(std::count(metrics.begin(), metrics.end(), '\n'), 30);
  const ModelFiles files = open_model(small.task.output.string(), small.setup);
  EXPECT_EQ(files.settings.value().gist_tokens, 1);
  EXPECT_TRUE(files.tokenizer.gist_token().has_value());
}

TEST(TrainSession, ThatIsStoppedIsResumedWithTheSameWeights) {
  const TemporaryDirectory directory, whole_directory;
  const SmallTraining small(directory.path()), whole(whole_directory.path());
  const TrainOutput output(small.task.output, false), whole_output(whole.task.output, false);
  whole.train();
  int steps = 0;
  TrainEvents events;
  events.stepped = [&](const TrainStep&) { ++steps; };
  events.run.stop_requested = [&] { return steps == 2; };
  const TrainResult stopped = small.train(events);
  EXPECT_TRUE(stopped.stopped);
  EXPECT_EQ(stopped.step, 2);
  EXPECT_EQ(last_checkpoint(small.task.output).value().filename(), "checkpoint-2");
  EXPECT_FALSE(small.train(events).stopped);
  EXPECT_EQ(steps, 6);
  EXPECT_TRUE(content_of(small.task.output / "model.safetensors") ==
              content_of(whole.task.output / "model.safetensors"));
}

TEST(TrainSession, OfARunThatHasEndedIsKnownByItsState) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  const TrainOutput output(small.task.output, false);
  const TrainData data = small.data(training_records());
  const RunState state = first_state(small.task, small.base, data, Dtype::f32);
  EXPECT_FALSE(finished_run(small.task, state, 6));
  small.train();
  EXPECT_EQ(finished_run(small.task, state, 6).value().step, 6);
  TrainTask other = small.task;
  other.seed = 1;
  testing::expect_error(ErrorKind::usage, "with seed 0, and this run has 1 (--seed)", [&] {
    finished_run(other, first_state(other, small.base, data, Dtype::f32), 6);
  });
}

TEST(TrainSession, EvaluatesHeldOutRecordsAndKeepsTheBestModel) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  small.task.eval_every = 3;
  const TrainOutput output(small.task.output, false);
  const TrainData held_out = small.data({training_records()[1], training_records()[4]}, {}, 1);
  std::vector<TrainEvaluation> evaluations;
  std::vector<std::size_t> evaluated;
  int alive = 0;
  TrainEvents events;
  events.evaluated = [&](const TrainEvaluation& each) { evaluations.push_back(each); };
  events.evaluating = [&](std::size_t done, std::size_t of) {
    EXPECT_EQ(of, 2U);
    evaluated.push_back(done);
  };
  events.alive = [&] { ++alive; };
  const TrainResult result = small.train(events, &held_out);
  ASSERT_EQ(evaluations.size(), 2U);
  EXPECT_EQ(evaluations[0].step, 3);
  EXPECT_TRUE(evaluations[0].best);
  EXPECT_THAT(evaluated, ::testing::ElementsAre(0U, 2U, 0U, 2U));
  EXPECT_GT(alive, 2);
  const std::string best = "best-" + std::to_string(result.best.value().step);
  EXPECT_TRUE(std::filesystem::exists(small.task.output / best / "model.safetensors"));
  EXPECT_THAT(content_of(small.task.output / metrics_name), ::testing::HasSubstr("\"samples\""));
}

TEST(TrainSession, EachPieceOfWorkLastsAsLongAsWhatItsCallerGave) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  small.task.steps = 2;
  small.task.save_every = 1;
  const TrainOutput output(small.task.output, false);
  std::string told;
  TrainEvents events;
  events.working = [&](TrainWork work, std::int64_t step) {
    const char begun = work == TrainWork::step ? 's' : work == TrainWork::checkpoint ? 'c' : 'm';
    told += begun + std::to_string(step);
    return std::shared_ptr<void>(nullptr, [&told](void*) { told += ' '; });
  };
  events.saved = [&](std::int64_t) { told += '!'; };
  small.train(events);
  EXPECT_EQ(told, "s0 c1! s1 m2 ");
}

TEST(TrainSession, ALossThatIsNoNumberIsToldAndThrown) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  small.task.learning_rate = 1e30;
  small.task.training.adamw.max_norm = 0;
  const TrainOutput output(small.task.output, false);
  std::int64_t broke = 0;
  TrainEvents events;
  events.broke = [&](std::int64_t step) { broke = step; };
  testing::expect_error(ErrorKind::data, "there is no checkpoint yet",
                        [&] { small.train(events); });
  EXPECT_GT(broke, 1);
  EXPECT_TRUE(std::filesystem::exists(small.task.output / spikes_name));
}

}  // namespace
}  // namespace gist
