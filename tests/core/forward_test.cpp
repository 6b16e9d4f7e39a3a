#include "core/forward.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/answer_loss.h"
#include "core/ops/ops.h"
#include "tests/core/golden.h"
#include "tests/core/loaded_model.h"
#include "tests/core/passes.h"
#include "tests/core/plain_llama.h"

namespace gist {
namespace {

TEST(Forward, EqualsPlainLoops) {
  const LlamaShape shape = shape_of("stories260K-gist");
  const LoadedModel loaded = load_model("stories260K-gist");
  Scratch scratch(*loaded.backend);
  for (const Condition condition : {Condition::gist, Condition::pos, Condition::neg}) {
    const Golden golden = load_golden("stories260K-gist", condition, 3, 0);
    const std::vector<float> plain = plain_logits(shape, weights_of("stories260K-gist"),
                                                  golden.sequence, condition, Products::exact);
    LabelledSequence row{golden.sequence, golden.sequence.tokens() - 1, condition, nullptr, 0};
    const auto logits = label_logits(*loaded.model, {&row, 1}, scratch)[0];
    EXPECT_LE(relative_error(logits, std::span(plain).first(logits.size())), 1e-5);
  }
}

/// Layers that hand on what they get.
class Identity final : public Family {
 public:
  explicit Identity(int layers) {
    spec_.d_model = 2;
    spec_.vocabulary = 3;
    spec_.stacks.push_back({StackKind::causal, layers, 1, 1, 2, 2});
    spec_.weights.push_back({"table", {3, 2}, WeightUse::table, std::nullopt, "", {}});
    spec_.weights.push_back({"head", {3, 2}, WeightUse::matrix, std::nullopt, "", {}});
    spec_.head.weight = 1;
  }
  const ModelSpec& spec() const override { return spec_; }
  Tensor enter(Pass& pass, int) override { return embedding(pass, 0); }
  Tensor layer(Pass& pass, int, int, const Tensor& hidden) override {
    add(pass, hidden, hidden);  // memory of the layer is written to
    return hidden;
  }
  Tensor leave(Pass& pass, int, const Tensor& hidden) override {
    add(pass, hidden, hidden);
    return hidden;
  }

 private:
  ModelSpec spec_;
};

TEST(Forward, KeepsHiddenStatesThatLayersHandOnUnchanged) {
  const auto backend = make_cpu_backend();
  auto family = std::make_unique<Identity>(5);
  const Weights weights{{"table", {1, 2, 3, 4, 5, 6}}, {"head", {0, 0, 0, 0, 0, 0}}};
  const WeightSource source = source_of(family->spec(), weights);
  const Model model(std::move(family), *backend, source);
  Scratch scratch(*backend);
  Batch batch;
  add_sequence(batch, {{2, 0}, {}}, Condition::pos, StackKind::causal);
  Pass pass(model, batch, {}, scratch);
  std::vector<float> hidden(4);
  backend->download(forward(pass), hidden.data());
  EXPECT_EQ(hidden, (std::vector<float>{5, 6, 1, 2}));
}

/// A head with bias, scale and soft cap.
class CappedHead final : public Family {
 public:
  CappedHead() {
    spec_.d_model = 2;
    spec_.vocabulary = 2;
    spec_.stacks.push_back({StackKind::causal, 0, 1, 1, 2, 2});
    spec_.weights.push_back({"table", {2, 2}, WeightUse::table, std::nullopt, "", {}});
    spec_.weights.push_back({"head", {2, 2}, WeightUse::matrix, std::nullopt, "", {}});
    spec_.weights.push_back({"bias", {2}, WeightUse::vector, std::nullopt, "", {}});
    spec_.head = {1, 2, 0.5F, 3};
  }
  const ModelSpec& spec() const override { return spec_; }
  Tensor enter(Pass& pass, int) override { return embedding(pass, 0); }
  Tensor layer(Pass&, int, int, const Tensor& hidden) override { return hidden; }
  Tensor leave(Pass&, int, const Tensor& hidden) override { return hidden; }

 private:
  ModelSpec spec_;
};

TEST(Forward, TheHeadAddsItsBiasThenScalesThenCaps) {
  const auto backend = make_cpu_backend();
  auto family = std::make_unique<CappedHead>();
  const Weights weights{{"table", {0, 0, 1, 2}}, {"head", {3, 1, -1, 4}}, {"bias", {1, -2}}};
  const WeightSource source = source_of(family->spec(), weights);
  const Model model(std::move(family), *backend, source);
  Scratch scratch(*backend);
  LabelledSequence row;
  row.sequence.ids = {1, 0};
  row.labels = 1;
  const float expected[] = {3 * std::tanh(0.5F * 6 / 3), 3 * std::tanh(0.5F * 5 / 3)};
  EXPECT_LE(relative_error(label_logits(model, {&row, 1}, scratch)[0], expected), 1e-6);
  EXPECT_NEAR(answer_loss(model, {&row, 1}, scratch)[0].sum,
              std::log1p(std::exp(expected[1] - expected[0])), 1e-6);
}

}  // namespace
}  // namespace gist
