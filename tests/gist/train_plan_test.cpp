#include "gist/train_plan.h"

#include "tests/gist/small_training.h"

namespace gist {
namespace {

using testing::SmallTraining;
using testing::TemporaryDirectory;

TEST(TrainPlan, CountsStepsAndMemoryWithoutTakingAny) {
  const TemporaryDirectory directory;
  SmallTraining small(directory.path());
  const TrainData data = small.data(testing::training_records());
  const TrainPlan plan =
      plan_training(small.family(), small.base, data, small.task, Dtype::f32, 1 << 30);
  EXPECT_EQ(plan.steps, 6);
  EXPECT_EQ(plan.weight_bytes, static_cast<std::size_t>(plan.parameters) * 4);
  EXPECT_GT(plan.activation_bytes, 0U);
  require_memory(plan, small.task);
  small.task.steps = 0;
  small.task.epochs = 2;
  EXPECT_EQ(plan_training(small.family(), small.base, data, small.task, Dtype::f32, 1 << 30).tokens,
            plan.tokens);  // of two epochs, too
}

TEST(TrainPlan, ThatDoesntFitSaysWhatWouldHelp) {
  const TemporaryDirectory directory;
  const SmallTraining small(directory.path());
  const TrainData data = small.data(testing::training_records());
  TrainPlan plan = plan_training(small.family(), small.base, data, small.task, Dtype::f32, 0);
  testing::expect_error(ErrorKind::unavailable, "a machine with more memory",
                        [&] { require_memory(plan, small.task); });
  plan.available_bytes = plan.memory_bytes() - 1;
  testing::expect_error(ErrorKind::unavailable, "--recompute",
                        [&] { require_memory(plan, small.task); });
}

}  // namespace
}  // namespace gist
