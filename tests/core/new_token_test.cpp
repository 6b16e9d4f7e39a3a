#include "core/new_token.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/parameters.h"
#include "formats/model/checkpoint.h"
#include "kernels/error.h"
#include "tests/core/passes.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using testing::AllOf;
using testing::HasSubstr;

std::vector<float> floats_of(const HostTensor& tensor) {
  std::vector<float> values(static_cast<std::size_t>(tensor.shape.elements()));
  convert_to_f32(tensor.data, tensor.dtype, tensor.shape.elements(), values.data());
  return values;
}

TEST(NewToken, GivesStoriesTheGistTokenOfItsFixture) {
  const ModelSpec spec = LlamaFamily(shape_of("stories260K-gist")).spec();
  const Checkpoint checkpoint(directory_of("stories260K"));
  const WeightSource source = with_new_tokens(checkpoint.source(), spec, mean_of_all(512));
  const Weights expected = weights_of("stories260K-gist");
  for (const auto& [name, values] : expected) {
    const std::vector<float> found = floats_of(*source.find(name));
    if (name == "model.embed_tokens.weight") {
      ASSERT_EQ(found.size(), 513U * 64);
      EXPECT_LE(relative_error(std::span(found).last(64), std::span(values).last(64)), 1e-6);
      EXPECT_TRUE(std::equal(found.begin(), found.end() - 64, values.begin()));
    } else {
      EXPECT_EQ(found, values) << name;
    }
    source.done(name);
  }
}

/// A model of 5 rows with an untied head that has a bias, and a source that has `rows`.
class NewTokenRows : public testing::Test {
 protected:
  NewTokenRows() {
    spec_.family = "rows";
    spec_.vocabulary = 5;
    spec_.weights = {{"table", {5, 2}, WeightUse::table, std::nullopt, "", {}},
                     {"head", {5, 2}, WeightUse::matrix, std::nullopt, "", {}},
                     {"bias", {5}, WeightUse::vector, std::nullopt, "", {}},
                     {"square", {5, 2}, WeightUse::matrix, std::nullopt, "", {}}};
    spec_.head = {1, 2, 1, 0};
  }

  WeightSource source(std::int64_t rows) {
    WeightSource result;
    result.find = [this, rows](const std::string& name) -> std::optional<HostTensor> {
      if (name == "missing") return std::nullopt;
      const bool bias = name == "bias";
      return HostTensor{reinterpret_cast<const std::byte*>(values_.data()), Dtype::f32,
                        bias ? Shape{rows} : Shape{rows, 2}};
    };
    result.done = [this](const std::string& name) { done_.push_back(name); };
    result.description = "the test's source";
    return result;
  }

  ModelSpec spec_;
  const std::vector<float> values_ = {1, 2, 3, 4, 5, 9, 7, 1, 8, 8};
  std::vector<std::string> done_;
};

TEST_F(NewTokenRows, RowsOfOtherTokensThatTheSourceLacksAreTheMean) {
  const WeightSource extended = with_new_tokens(source(3), spec_, mean_of_all(4), 3);
  EXPECT_EQ(floats_of(*extended.find("table")), (std::vector<float>{1, 2, 3, 4, 5, 9, 3, 5, 3, 5}));
  EXPECT_EQ(floats_of(*extended.find("bias")), (std::vector<float>{1, 2, 3, 2, 2}));
}

TEST_F(NewTokenRows, TheNewRowIsTheMeanOfThoseBefore) {
  const WeightSource extended = with_new_tokens(source(4), spec_, mean_of_all(4));
  const std::vector<float> rows{1, 2, 3, 4, 5, 9, 7, 1, 4, 4};
  EXPECT_EQ(floats_of(*extended.find("table")), rows);
  EXPECT_EQ(floats_of(*extended.find("head")), rows);
  EXPECT_EQ(floats_of(*extended.find("bias")), (std::vector<float>{1, 2, 3, 4, 2.5}));
  EXPECT_EQ(extended.find("bias")->shape, (Shape{5}));
  EXPECT_EQ(extended.find("head")->shape, (Shape{5, 2}));
}

TEST_F(NewTokenRows, ASourceWithMoreRowsThanTokensKeepsTheOthers) {
  const WeightSource extended = with_new_tokens(source(5), spec_, mean_of_all(2));
  EXPECT_EQ(floats_of(*extended.find("table")), (std::vector<float>{1, 2, 3, 4, 2, 3, 7, 1, 8, 8}));
}

TEST_F(NewTokenRows, SeveralNewRowsAreEachTheMeanOfTheirOwn) {
  const WeightSource extended = with_new_tokens(source(3), spec_, {3, {{0}, {1, 2}}});
  EXPECT_EQ(floats_of(*extended.find("table")),
            (std::vector<float>{1, 2, 3, 4, 5, 9, 1, 2, 4, 6.5}));
  EXPECT_EQ(floats_of(*extended.find("bias")), (std::vector<float>{1, 2, 3, 1, 2.5}));
}

TEST_F(NewTokenRows, ARowThatTheSourceLacksCountsInNoMean) {
  const WeightSource extended = with_new_tokens(source(2), spec_, {3, {{1, 2}, {2}}}, 2);
  EXPECT_EQ(floats_of(*extended.find("bias")), (std::vector<float>{1, 2, 1.5, 2, 1.5}));
}

TEST_F(NewTokenRows, OtherWeightsStayAsTheyAre) {
  const WeightSource extended = with_new_tokens(source(5), spec_, mean_of_all(4));
  EXPECT_EQ(floats_of(*extended.find("square")), values_);
  EXPECT_FALSE(extended.find("missing"));
  extended.find("table");
  extended.done("table");
  EXPECT_EQ(done_, std::vector<std::string>{"table"});
}

TEST_F(NewTokenRows, ASourceWithTooFewRowsIsRefusedByItsShape) {
  const auto refusal = [&](std::int64_t rows, std::int32_t token) -> std::string {
    try {
      found_weight(with_new_tokens(source(rows), spec_, mean_of_all(token)), "table", {5, 2})
          .tensor;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
      return error.what();
    }
    return "no error";
  };
  EXPECT_THAT(refusal(3, 4), AllOf(HasSubstr("table"), HasSubstr("[3, 2]"), HasSubstr("[5, 2]")));
  EXPECT_THAT(refusal(4, 3), HasSubstr("[4, 2]"));  // row 4 would be missing
  EXPECT_THAT(refusal(6, 4), HasSubstr("[6, 2]"));
  EXPECT_EQ(refusal(4, 4), "no error");
}

TEST_F(NewTokenRows, ASourceOfShapesAloneHasNoValues) {
  WeightSource shapes = source(4);
  shapes.find = [find = shapes.find](const std::string& name) {
    std::optional<HostTensor> tensor = find(name);
    tensor->data = nullptr;
    return tensor;
  };
  const auto tensor = with_new_tokens(shapes, spec_, mean_of_all(4)).find("head");
  EXPECT_EQ(tensor->shape, (Shape{5, 2}));
  EXPECT_EQ(tensor->data, nullptr);
}

}  // namespace
}  // namespace gist
