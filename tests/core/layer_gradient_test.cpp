// Layers that families may write, however odd: each has the gradient of a plainer one.
#include <gtest/gtest.h>

#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;
using LayerOf = std::function<Tensor(Pass&, const Tensor& hidden)>;

// The weights, shared by all layers.
constexpr int the_table = 0, the_matrix = 1, the_norm = 2, the_head = 3;
constexpr std::int64_t model_width = 20;

/// A model whose layers are given as functions.
class ToyFamily final : public Family {
 public:
  explicit ToyFamily(std::vector<LayerOf> layers) : layers_(std::move(layers)) {
    spec_.family = "toy";
    spec_.d_model = model_width;
    spec_.vocabulary = 50;
    spec_.stacks.push_back({StackKind::causal, static_cast<int>(layers_.size()), 1, 1, 4, 4});
    const auto weight = [&](const char* name, const Shape& shape, WeightUse use) {
      spec_.weights.push_back({name, shape, use, std::nullopt, "", {}});
    };
    weight("table", {50, model_width}, WeightUse::table);
    weight("matrix", {model_width, model_width}, WeightUse::matrix);
    weight("norm", {model_width}, WeightUse::vector);
    weight("head", {50, model_width}, WeightUse::matrix);
    weight("unused", {model_width, model_width}, WeightUse::matrix);
    spec_.head.weight = the_head;
  }

  const ModelSpec& spec() const override { return spec_; }
  Tensor enter(Pass& pass, int) override { return embedding(pass, the_table); }
  Tensor layer(Pass& pass, int, int layer, const Tensor& hidden) override {
    return layers_[static_cast<std::size_t>(layer)](pass, hidden);
  }
  Tensor leave(Pass& pass, int, const Tensor& hidden) override {
    return rms_norm(pass, hidden, the_norm, 1e-5F);
  }

 private:
  std::vector<LayerOf> layers_;
  ModelSpec spec_;
};

Tensor identity(Pass&, const Tensor& hidden) {
  return hidden;
}
Tensor product(Pass& pass, const Tensor& hidden) {
  return linear(pass, hidden, the_matrix);
}
Tensor residual(Pass& pass, const Tensor& hidden) {
  return add(pass, hidden, linear(pass, hidden, the_matrix));
}
Tensor doubled(Pass& pass, const Tensor& hidden) {
  return add(pass, hidden, hidden);
}
Tensor plus_embedding(Pass& pass, const Tensor& hidden) {
  return add(pass, hidden, embedding(pass, the_table));
}
Tensor embedding_again(Pass& pass, const Tensor&) {
  return embedding(pass, the_table);
}

class LayerGradient : public testing::TestWithParam<bool> {
 protected:
  /// The gradients of a model of these layers.
  struct Gradients {
    double loss;
    std::vector<float> table, matrix, norm, head, unused;
  };
  Gradients of(const std::vector<LayerOf>& layers) const {
    auto family = std::make_unique<ToyFamily>(layers);
    const Weights weights = random_weights(family->spec(), 1);
    const TrainingModel training = training_model(std::move(family), weights);
    Gradients g;
    g.loss = take_gradient(training, training_rows(Condition::pos), GetParam());
    for (const auto& [name, values] :
         {std::pair{"table", &g.table}, std::pair{"matrix", &g.matrix}, std::pair{"norm", &g.norm},
          std::pair{"head", &g.head}, std::pair{"unused", &g.unused}}) {
      *values = training.of(Kind::gradient, name);
    }
    return g;
  }

  static void expect_equal(const Gradients& a, const Gradients& b) {
    EXPECT_NEAR(a.loss, b.loss, 1e-6 * b.loss);
    EXPECT_LE(relative_l2(a.table, b.table), 1e-5);
    EXPECT_LE(relative_l2(a.matrix, b.matrix), 1e-5);
    EXPECT_LE(relative_l2(a.norm, b.norm), 1e-5);
    EXPECT_LE(relative_l2(a.head, b.head), 1e-5);
  }
};

TEST_P(LayerGradient, PassesThroughALayerThatReturnsItsInput) {
  const Gradients plain = of({residual, product});
  expect_equal(of({identity, residual, product}), plain);
  expect_equal(of({residual, identity, product}), plain);
  expect_equal(of({residual, product, identity}), plain);
  expect_equal(of({residual, identity, identity, product, identity, identity}), plain);
}

TEST_P(LayerGradient, OfAnInputThatIsUsedTwiceIsTheSum) {
  // The norm afterwards divides by the scale, but not quite, for its eps.
  const auto quadrupled = [](Pass& pass, const Tensor& hidden) {
    return doubled(pass, doubled(pass, hidden));
  };
  const auto twice = [](Pass& pass, const Tensor& hidden) {
    return add(pass, linear(pass, hidden, the_matrix), linear(pass, hidden, the_matrix));
  };
  expect_equal(of({quadrupled, product}), of({doubled, product, doubled}));
  expect_equal(of({twice, product}), of({product, doubled, product}));
  expect_equal(of({plus_embedding, product}), of({doubled, product}));
}

TEST_P(LayerGradient, PassesThroughAnAddition) {
  expect_equal(of({product, plus_embedding, product}), of({residual, product}));
  expect_equal(of({product, product, plus_embedding}), of({[](Pass& pass, const Tensor& hidden) {
                 return add(pass, hidden, product(pass, product(pass, hidden)));
               }}));
}

TEST_P(LayerGradient, OfALayerThatNothingDependsOnIsZero) {
  expect_equal(of({residual, product, embedding_again, residual}), of({residual}));
}

TEST_P(LayerGradient, OfAnUnusedResultIsZero) {
  const auto wasteful = [](Pass& pass, const Tensor& hidden) {
    rms_norm(pass, linear(pass, hidden, the_matrix), the_norm, 1e-5F);
    return residual(pass, hidden);
  };
  expect_equal(of({wasteful, product}), of({residual, product}));
}

TEST_P(LayerGradient, OfAnUnusedWeightIsZero) {
  const Gradients gradients = of({residual, product});
  EXPECT_EQ(gradients.unused, std::vector<float>(model_width * model_width));
  EXPECT_NE(gradients.matrix, std::vector<float>(model_width * model_width));
}

INSTANTIATE_TEST_SUITE_P(, LayerGradient, testing::Bool(), [](const auto& recompute) {
  return recompute.param ? "recomputed" : "kept";
});

}  // namespace
}  // namespace gist
