#include "core/parameters.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "kernels/error.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;
using testing::HasSubstr;

ModelSpec spec_of(bool tied) {
  LlamaShape shape = small_shape();
  shape.tied = tied;
  return LlamaFamily(shape).spec();
}

class ParametersTest : public testing::Test {
 protected:
  std::vector<float> values(const Parameters& parameters, const std::string& name) {
    const Tensor tensor = parameters.of(Kind::value, parameters.named(name));
    std::vector<float> result(static_cast<std::size_t>(tensor.shape.elements()));
    backend_->download(tensor, result.data());
    return result;
  }
  std::vector<float> whole(const Parameters& parameters, Kind kind) {
    std::vector<float> result(static_cast<std::size_t>(parameters.elements()));
    backend_->download(parameters.all(kind), result.data());
    return result;
  }

  std::unique_ptr<Backend> backend_ = make_cpu_backend();
};

TEST_F(ParametersTest, AreEveryWeightOfEveryLayerOnce) {
  const Parameters parameters(spec_of(false), *backend_);
  std::set<std::string> names;
  for (const Parameter& each : parameters.list()) EXPECT_TRUE(names.insert(each.name).second);
  EXPECT_EQ(names.size(), 3U + 2 * 9);
  EXPECT_TRUE(names.contains("model.layers.1.mlp.up_proj.weight"));
  EXPECT_EQ(parameters.named("lm_head.weight").shape, (Shape{50, 32}));
  constexpr std::int64_t layer = 2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32 + 2 * 32;
  EXPECT_EQ(parameters.count(), 2 * 50 * 32 + 32 + 2 * layer);
}

TEST_F(ParametersTest, TiedWeightsAreOneParameterOfOneModelTensor) {
  auto family = std::make_unique<LlamaFamily>([] {
    LlamaShape shape = small_shape();
    shape.tied = true;
    return shape;
  }());
  const Parameters parameters(family->spec(), *backend_);
  EXPECT_EQ(parameters.list().size(), 2U + 2 * 9);
  EXPECT_THROW(parameters.named("lm_head.weight"), Error);
  const Model model(std::move(family), parameters);
  const Tensor table = parameters.of(Kind::value, parameters.named("model.embed_tokens.weight"));
  const Tensor gradient =
      parameters.of(Kind::gradient, parameters.named("model.embed_tokens.weight"));
  const Weight& head = model.weight(model.spec().head.weight, 0);
  EXPECT_EQ(head.tensor.data, table.data);
  EXPECT_EQ(head.gradient.data, gradient.data);
  EXPECT_NE(head.matrix, nullptr);
}

TEST_F(ParametersTest, MatricesAndTablesComeFirst) {
  const Parameters parameters(spec_of(false), *backend_);
  std::int64_t decayed = 0;
  for (const Parameter& each : parameters.list()) {
    const bool norm = each.name.find("norm") != std::string::npos;
    EXPECT_EQ(each.offset >= parameters.decayed_elements(), norm) << each.name;
    if (!norm) decayed += each.shape.elements();
  }
  EXPECT_EQ(parameters.decayed_elements(), decayed);  // all are multiples of a cache line
}

// 3 x 5 values are no whole cache line.
TEST_F(ParametersTest, LieApartOnCacheLinesWithZerosBetween) {
  ModelSpec spec = spec_of(false);
  for (WeightSpec& weight : spec.weights) {
    if (weight.use == WeightUse::matrix) weight.shape = {3, 5};
  }
  Parameters parameters(spec, *backend_);
  initialise(parameters, 1);
  std::vector<bool> used(static_cast<std::size_t>(parameters.elements()), false);
  for (const Parameter& each : parameters.list()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(parameters.of(Kind::value, each).data) % 64, 0U);
    for (std::int64_t i = 0; i < each.shape.elements(); ++i) {
      auto&& place = used[static_cast<std::size_t>(each.offset + i)];
      EXPECT_FALSE(place) << each.name << " overlaps another";
      place = true;
    }
  }
  EXPECT_NE(std::count(used.begin(), used.end(), false), 0);
  const auto all = whole(parameters, Kind::value);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (!used[i]) {
      EXPECT_EQ(all[i], 0) << i;
    }
  }
}

TEST_F(ParametersTest, GradientsAndMomentsStartAtZero) {
  const Parameters parameters(spec_of(false), *backend_);
  const std::vector<float> zeros(static_cast<std::size_t>(parameters.elements()));
  EXPECT_EQ(whole(parameters, Kind::gradient), zeros);
  EXPECT_EQ(whole(parameters, Kind::first_moment), zeros);
  EXPECT_EQ(whole(parameters, Kind::second_moment), zeros);
}

// --- load ---

TEST_F(ParametersTest, LoadTakesTheSourcesValuesAndSaysWhenEachIsDone) {
  const ModelSpec spec = spec_of(true);
  const Weights weights = random_weights(spec, 1);
  WeightSource source = source_of(spec, weights);
  std::multiset<std::string> done;
  source.done = [&](const std::string& name) { done.insert(name); };
  Parameters parameters(spec, *backend_);
  load(parameters, source);
  for (const auto& [name, expected] : weights) {
    EXPECT_EQ(values(parameters, name), expected) << name;
    EXPECT_EQ(done.count(name), 1U) << name;
  }
  EXPECT_EQ(done.size(), weights.size());
}

TEST_F(ParametersTest, LoadTakesHalves) {
  const ModelSpec spec = spec_of(true);
  const Weights weights = random_weights(spec, 1);
  const std::vector<float>& norm = weights.at("model.norm.weight");
  std::vector<std::byte> halves(2 * norm.size());
  convert_from_f32(norm.data(), 32, Dtype::bf16, halves.data());
  WeightSource source = source_of(spec, weights);
  source.find = [&, find = source.find](const std::string& name) {
    std::optional<HostTensor> tensor = find(name);
    if (name == "model.norm.weight") *tensor = {halves.data(), Dtype::bf16, {32}};
    return tensor;
  };
  Parameters parameters(spec, *backend_);
  load(parameters, source);
  const auto found = values(parameters, "model.norm.weight");
  for (std::size_t i = 0; i < norm.size(); ++i) {
    EXPECT_EQ(found[i], bf16_to_f32(f32_to_bf16(norm[i])));
  }
}

TEST_F(ParametersTest, LoadNamesWhatIsMissing) {
  const ModelSpec spec = spec_of(false);
  Weights weights = random_weights(spec, 1);
  weights.erase("model.layers.1.mlp.up_proj.weight");
  Parameters parameters(spec, *backend_);
  try {
    load(parameters, source_of(spec, weights));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_THAT(error.what(), HasSubstr("model.layers.1.mlp.up_proj.weight"));
  }
}

// --- initialise ---

struct Moments {
  double mean, deviation;
};
Moments moments_of(const std::vector<float>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0;
  double squares = 0;
  for (const float each : values) {
    sum += each;
    squares += double{each} * each;
  }
  return {sum / n, std::sqrt(squares / n - sum / n * sum / n)};
}

/// A table of deviation 0.5, matrices of 0.02, and norms of ones or zeros.
ModelSpec spec_to_initialise() {
  LlamaShape shape = small_shape();
  shape.vocabulary = 4000;
  ModelSpec spec = LlamaFamily(shape).spec();
  for (WeightSpec& weight : spec.weights) {
    weight.init = {Initializer::Kind::normal, weight.use == WeightUse::table ? 0.5F : 0.02F};
    if (weight.use == WeightUse::vector) weight.init = {Initializer::Kind::constant, 1};
    if (weight.name == "model.norm.weight") weight.init = {Initializer::Kind::constant, 0};
  }
  return spec;
}

TEST_F(ParametersTest, InitialValuesAreAsDeclared) {
  Parameters parameters(spec_to_initialise(), *backend_);
  initialise(parameters, 1);
  constexpr double n = 4000 * 32;
  for (const auto& [name, deviation] :
       {std::pair{"model.embed_tokens.weight", 0.5}, std::pair{"lm_head.weight", 0.02}}) {
    const Moments found = moments_of(values(parameters, name));
    EXPECT_NEAR(found.mean, 0, 5 * deviation / std::sqrt(n)) << name;
    EXPECT_NEAR(found.deviation, deviation, 5 * deviation / std::sqrt(2 * n)) << name;
  }
  EXPECT_EQ(values(parameters, "model.layers.1.input_layernorm.weight"),
            std::vector<float>(32, 1.0F));
  EXPECT_EQ(values(parameters, "model.norm.weight"), std::vector<float>(32, 0.0F));
}

TEST_F(ParametersTest, InitialValuesDependOnSeedAndNameAlone) {
  ModelSpec spec = spec_to_initialise();
  Parameters first(spec, *backend_);
  initialise(first, 1);
  // The second time the weights stand in another order.
  std::swap(spec.weights.front(), spec.weights.back());
  Parameters again(spec, *backend_);
  initialise(again, 1);
  Parameters other(spec, *backend_);
  initialise(other, 2);
  EXPECT_NE(first.list()[0].name, again.list()[0].name);
  std::set<float> starts;
  for (const Parameter& each : first.list()) {
    const auto expected = values(first, each.name);
    EXPECT_EQ(values(again, each.name), expected) << each.name;
    if (each.init.kind != Initializer::Kind::normal) continue;
    EXPECT_NE(values(other, each.name), expected) << each.name;
    EXPECT_TRUE(starts.insert(expected[0]).second) << each.name << " begins like another";
  }
}

}  // namespace
}  // namespace gist
