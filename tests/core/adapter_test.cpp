#include "core/adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/answer_loss.h"
#include "kernels/error.h"
#include "tests/core/passes.h"
#include "tests/core/training_model.h"

namespace gist {
namespace {

using Kind = Parameters::Kind;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class AdaptedFamily : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::vector<float>> logits(const Model& model,
                                         std::span<const LabelledSequence> rows) {
    Scratch scratch(model.backend());
    return label_logits(model, rows, scratch);
  }

  const TrainingModel adapted_ = adapted_training_model(GetParam());
  const LoadedModel plain_ = small_model(GetParam(), test_backend());
};

TEST_P(AdaptedFamily, OtherRowsAreComputedAsWithoutItToTheLastBit) {
  auto rows = training_rows(Condition::pos);
  for (LabelledSequence& row : rows) row.sequence.gists.clear();
  const auto frozen = small_training_model(GetParam());  // matrices as they stand, as in training
  EXPECT_EQ(logits(*adapted_.model, rows), logits(*frozen.model, rows));
  rows[1].sequence.ids[1] = 0;
  const auto expected = logits(*frozen.model, rows);
  rows[1].sequence.ids[1] = 50;
  const auto found = logits(*adapted_.model, rows);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (i == 1) {
      EXPECT_GT(relative_error(found[i], expected[i]), 1e-3);
    } else {
      EXPECT_EQ(found[i], expected[i]) << i;
    }
  }
}

TEST_P(AdaptedFamily, GistsAreComputedThroughIt) {
  const auto rows = adapted_training_rows(Condition::gist);
  const auto before = logits(*adapted_.model, rows);
  for (const Parameter& parameter : adapted_.parameters->list()) {
    if (parameter.name.find("lora_B") == std::string::npos) continue;
    const Tensor values = adapted_.parameters->of(Kind::value, parameter);
    adapted_.backend->run(ops::Zero{.x = values});
  }
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_GT(relative_error(logits(*adapted_.model, rows)[i], before[i]), 1e-3) << i;
  }
}

TEST_P(AdaptedFamily, GoingOnFromAStoredGistNeedsTheModelAlone) {
  Scratch scratch(*adapted_.backend), plain_scratch(*plain_.backend);
  for (const LabelledSequence& row : adapted_training_rows(Condition::gist)) {
    const GistActivations stored = compress_one(*adapted_.model, head_of(row.sequence), scratch);
    LabelledSequence rest{tail_of(row.sequence), row.labels, Condition::pos, &stored,
                          row.sequence.gists[0].begin};
    const auto expected = label_logits(*adapted_.model, {&row, 1}, scratch);
    const auto found = label_logits(*plain_.model, {&rest, 1}, plain_scratch);
    EXPECT_LE(relative_error(found[0], expected[0]), 1e-5);
  }
}

/// In bf16 the model's matrices stand rounded; here they stand in f32, and products round them.
TEST_P(AdaptedFamily, LearnsTheSameFromAModelThatStandsInBf16) {
  const CpuOptions options{.dtype = Dtype::bf16};
  if (test_backend(options) == nullptr) GTEST_SKIP() << "this processor can't multiply in bf16";
  const TrainingModel adapted = adapted_training_model(GetParam(), options);
  const auto rows = adapted_training_rows(Condition::gist);
  const double loss = take_gradient(adapted, rows);
  const std::vector<float> gradients = adapted.all(Kind::gradient);

  auto family = small_family(GetParam());
  const ModelSpec spec = family->spec();
  Parameters filled(spec, *adapted.backend);
  load(filled, source_of(spec, initial_weights(spec, 1)));
  Model in_f32(std::move(family), filled);
  in_f32.attach(
      std::make_unique<Adapter>(spec, adapted.model->adapter()->spec(), *adapted.parameters));
  EXPECT_LT(adapted.model->weight_bytes(), in_f32.weight_bytes());
  adapted.backend->run(ops::Zero{.x = adapted.parameters->all(Kind::gradient)});
  TrainingScratch scratch(*adapted.backend);
  const auto labels = static_cast<float>(labels_of(rows));
  EXPECT_EQ(
      add_loss_gradient(in_f32, rows, {1 / labels, false, std::nullopt}, scratch).loss / labels,
      loss);
  EXPECT_EQ(adapted.all(Kind::gradient), gradients);
}

INSTANTIATE_TEST_SUITE_P(, AdaptedFamily, testing::ValuesIn(small_families()),
                         [](const auto& suite) { return suite.param; });

std::string refusal(const AdapterSpec& adapter, const std::string& family = "llama") {
  try {
    (void)adapter_parameters(small_family(family)->spec(), adapter);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    return error.what();
  }
  return "";
}

AdapterSpec with_targets(std::vector<std::string> targets) {
  return {.rank = 2, .alpha = 2, .targets = std::move(targets), .gist_ids = {50, 1}};
}

TEST(AdapterParameters, AreThoseOfTheMatricesThatTargetsName) {
  const ModelSpec spec = small_family("llama")->spec();
  EXPECT_THAT(all_targets(spec), ElementsAre("down_proj", "gate_proj", "k_proj", "o_proj", "q_proj",
                                             "up_proj", "v_proj"));
  std::vector<std::string> names;
  for (const Parameter& parameter : adapter_parameters(
           spec, with_targets({"layers.1.mlp.up_proj", "model.layers.0.self_attn.q_proj"}))) {
    names.push_back(parameter.name);
  }
  EXPECT_THAT(names, ElementsAre("model.layers.0.self_attn.q_proj.lora_A.weight",
                                 "model.layers.0.self_attn.q_proj.lora_B.weight",
                                 "model.layers.1.mlp.up_proj.lora_A.weight",
                                 "model.layers.1.mlp.up_proj.lora_B.weight",
                                 "model.embed_tokens.gist_rows"));
}

TEST(AdapterParameters, OfAnEncoderDecoderAreTheEncodersWhereGistsStand) {
  const ModelSpec spec = small_family("t5")->spec();
  for (const std::string& module : adaptable_matrices(spec)) {
    EXPECT_TRUE(module.starts_with("encoder.")) << module;
  }
}

TEST(AdapterParameters, ATargetThatNamesNothingIsRefusedWithWhatCouldBeNamed) {
  for (const char* target : {"query", "proj", "lm_head", "", "norm"}) {
    EXPECT_THAT(refusal(with_targets({"q_proj", target})), HasSubstr("q_proj, up_proj, v_proj"))
        << target;
  }
  EXPECT_EQ(refusal(with_targets({"q_proj"})), "");
}

}  // namespace
}  // namespace gist
