#include "core/tape.h"

#include <gtest/gtest.h>

#include "kernels/cpu/cpu_backend.h"

namespace gist {
namespace {

using Floats = std::vector<float>;

class TapeTest : public testing::Test {
 protected:
  Tensor make(const Floats& values) {
    return others_.upload({static_cast<std::int64_t>(values.size())}, Dtype::f32, values.data());
  }
  Floats values_of(const Tensor& tensor) {
    Floats values(static_cast<std::size_t>(tensor.shape.elements()));
    backend_->download(tensor, values.data());
    return values;
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend();
  Workspace memory_{*backend_}, others_{*backend_};
  Gradients gradients_{memory_};
  const Tensor x_ = make({0, 0});
};

TEST_F(TapeTest, WhatGotNoGradientHasNone) {
  EXPECT_EQ(gradients_.of(x_).data, nullptr);
}

TEST_F(TapeTest, GradientsOfATensorAreAddedUp) {
  gradients_.give(x_, make({1, 2}));
  EXPECT_EQ(values_of(gradients_.of(x_)), (Floats{1, 2}));
  gradients_.give(x_, make({10, 20}));
  gradients_.share(x_, make({100, 200}));
  EXPECT_EQ(values_of(gradients_.of(x_)), (Floats{111, 222}));
}

TEST_F(TapeTest, SharedGradientsAreNeverWrittenTo) {
  const Tensor shared = make({1, 2});
  for (int round = 0; round < 4; ++round) {
    Gradients gradients(memory_);
    gradients.share(x_, shared);
    const Tensor other = make({10, 20});
    switch (round) {
      case 0:
        gradients.give(x_, other);
        break;
      case 1:
        gradients.share(x_, other);
        break;
      case 2:
        gradients.share(x_, shared);
        gradients.share(x_, other);
        break;
      case 3: {
        const auto [target, accumulate] = gradients.target(x_);
        EXPECT_TRUE(accumulate);
        backend_->run(ops::Add{.a = target, .b = other, .y = target});
      }
    }
    EXPECT_EQ(values_of(gradients.of(x_)), round == 2 ? (Floats{12, 24}) : (Floats{11, 22}))
        << round;
    EXPECT_EQ(values_of(shared), (Floats{1, 2})) << round;
    if (round == 1 || round == 2) {
      EXPECT_EQ(values_of(other), (Floats{10, 20})) << round;
    }
  }
}

TEST_F(TapeTest, ATensorThatIsSharedAfterAGivenOneIsNotWrittenTo) {
  const Tensor shared = make({1, 2});
  gradients_.give(x_, make({10, 20}));
  gradients_.share(x_, shared);
  gradients_.give(x_, make({100, 200}));
  EXPECT_EQ(values_of(gradients_.of(x_)), (Floats{111, 222}));
  EXPECT_EQ(values_of(shared), (Floats{1, 2}));
}

TEST_F(TapeTest, ATargetAccumulatesFromTheSecondTimeOn) {
  const auto first = gradients_.target(x_);
  EXPECT_FALSE(first.accumulate);
  EXPECT_EQ(first.tensor.shape, x_.shape);
  const Floats values = {3, 4};
  backend_->upload(first.tensor, values.data());
  const auto second = gradients_.target(x_);
  EXPECT_TRUE(second.accumulate);
  EXPECT_EQ(values_of(second.tensor), values);
  EXPECT_EQ(values_of(gradients_.of(x_)), values);
}

TEST_F(TapeTest, GradientsComeInTheShapeOfWhatTheyAreOf) {
  gradients_.share(x_, make({1, 2}));
  EXPECT_EQ(gradients_.of(x_.reshaped({1, 2})).shape, (Shape{1, 2}));
  gradients_.give(x_, make({1, 2}).reshaped({2, 1}));
  EXPECT_EQ(gradients_.target(x_.reshaped({1, 2, 1})).tensor.shape, (Shape{1, 2, 1}));
  EXPECT_EQ(values_of(gradients_.of(x_)), (Floats{2, 4}));
}

TEST_F(TapeTest, StepsRunBackwardsAndOnce) {
  Tape tape;
  std::vector<int> order;
  for (const int step : {1, 2, 3}) {
    tape.record([&order, step](Gradients&) { order.push_back(step); });
  }
  tape.backward(x_, make({1, 1}), x_, {}, memory_);
  EXPECT_EQ(order, (std::vector<int>{3, 2, 1}));
  tape.backward(x_, make({1, 1}), x_, {}, memory_);
  EXPECT_EQ(order.size(), 3U);
  tape.record([&order](Gradients&) { order.push_back(4); });
  tape.clear();
  tape.backward(x_, make({1, 1}), x_, {}, memory_);
  EXPECT_EQ(order.size(), 3U);
}

TEST_F(TapeTest, GivesTheGradientOfTheInputByTheChainOfItsSteps) {
  const Tensor y = make({0, 0}), z = make({0, 0});  // y = x + x, z = y + x
  Tape tape;
  const auto add = [&](const Tensor& a, const Tensor& b, const Tensor& sum) {
    tape.record([a, b, sum](Gradients& gradients) {
      gradients.share(a, gradients.of(sum));
      gradients.share(b, gradients.of(sum));
    });
  };
  add(x_, x_, y);
  add(y, x_, z);
  const Tensor gradient = make({1, 10});
  EXPECT_EQ(values_of(tape.backward(z, gradient, x_, {}, memory_).input), (Floats{3, 30}));
  EXPECT_EQ(values_of(gradient), (Floats{1, 10}));
}

TEST_F(TapeTest, GivesNothingWhereTheOutputDoesNotDependOnTheInput) {
  Tape tape;
  EXPECT_EQ(tape.backward(make({0, 0}), make({1, 1}), x_, {}, memory_).input.data, nullptr);
}

// The caller may reuse the memory of the output's gradient while that of the input is still needed.
TEST_F(TapeTest, GivesAGradientOfItsOwnMemoryEvenForTheOutputItself) {
  Tape tape;
  const Tensor gradient = make({1, 2});
  const Tensor found = tape.backward(x_, gradient, x_, {}, memory_).input;
  EXPECT_NE(found.data, gradient.data);
  EXPECT_EQ(values_of(found), (Floats{1, 2}));
}

}  // namespace
}  // namespace gist
