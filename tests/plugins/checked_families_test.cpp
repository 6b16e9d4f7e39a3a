// `gist plugins check` on families with one mistake each, and on those in the tree.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "plugins/host/plugin_host.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::filesystem::path fixtures = GIST_FIXTURES;

/// What one check says, which is run alone.
std::string failure_of_check(const std::filesystem::path& library, const std::string& name,
                             PluginCheckOptions options = {}) {
  options.only = {name};
  for (const PluginCheck& check : check_plugin(library, options)) {
    if (check.name == name) return check.failed;
    if (!check.failed.empty()) return check.name + " failed before: " + check.failed;
  }
  return "no such check";
}

json configuration_of(const std::string& module) {
  std::ifstream file(std::filesystem::path(GIST_MODULES) / (module + ".gist.json"));
  return json::parse(file)["check"][module];
}

/// What a check says of the family with this mistake.
std::string found_by(const std::string& check, const std::string& mistake,
                     const json& changed = json::object()) {
  const Sandbox sandbox;
  json config = configuration_of("mistaken");
  config["mistake"] = mistake;
  config.update(changed);
  return failure_of_check(sandbox.plugin("mistaken", {{"check", {{"mistaken", config}}}}), check);
}

TEST(CheckedFamily, PassesWithoutAMistake) {
  const Sandbox sandbox;
  for (const PluginCheck& check : check_plugin(sandbox.plugin("mistaken"))) {
    EXPECT_EQ(check.failed, "") << check.name;
  }
}

// LLaMA and T5 are checked by tests/e2e/test_plugins.py.
class CheckedPlugin : public testing::TestWithParam<const char*> {};

TEST_P(CheckedPlugin, Passes) {
#if defined(__SANITIZE_ADDRESS__)
  GTEST_SKIP() << "the checks run under the sanitizers for other families, and start slowly there";
#endif
  for (const PluginCheck& check : check_plugin(GetParam())) {
    EXPECT_EQ(check.failed, "") << check.name << " of " << check.family;
  }
}

INSTANTIATE_TEST_SUITE_P(, CheckedPlugin,
                         testing::Values(GIST_GEMMA, GIST_GPT2, GIST_MISTRAL, GIST_MIXTRAL,
                                         GIST_OLMO2, GIST_PHI3, GIST_QWEN2, GIST_QWEN3),
                         [](const testing::TestParamInfo<const char*>& suite) {
                           return std::filesystem::path(suite.param).stem().string();
                         });

// --- on a configuration, with random weights ---

TEST(CheckedFamily, ReadsItsConfiguration) {
  EXPECT_THAT(found_by("config keys", "", {{"rope_spiral", 3}}),
              HasSubstr("never reads rope_spiral"));
}

TEST(CheckedFamily, UsesWhatItReads) {
  EXPECT_THAT(found_by("config keys", "eps of its own"), HasSubstr("configure reads rms_norm_eps"));
}

TEST(CheckedFamily, TakesNoIntegerThatItCantDivideBy) {
  EXPECT_THAT(found_by("integer keys", "division by zero"),
              AllOf(testing::AnyOf(HasSubstr("was killed by signal"), HasSubstr("exited with")),
                    HasSubstr("num_attention_heads = 0")));
}

TEST(CheckedFamily, TakesNoIntegerForAnother) {
  EXPECT_THAT(found_by("integer keys", "truncated", {{"position_limit", 64}}),
              HasSubstr("position_limit = 4294967360 is taken for 64"));
}

TEST(CheckedFamily, HasShapesThatFitWhenSizesDiffer) {
  // In this configuration the matrix is square.
  EXPECT_THAT(found_by("integer keys", "swapped shape", {{"hidden_size", 40}}),
              AllOf(HasSubstr("layer 0: linear"), HasSubstr("self_attn.o_proj")));
}

TEST(CheckedFamily, UsesItsWeights) {
  EXPECT_THAT(found_by("weights", "unused weight"),
              HasSubstr("no callback uses model.layers.0.mlp.spare.weight, "
                        "model.layers.1.mlp.spare.weight"));
}

TEST(CheckedFamily, HasTheGradientOfItsLoss) {
  EXPECT_THAT(found_by("weights", "counts passes"), HasSubstr("says that the loss changes by"));
}

TEST(CheckedFamily, ComputesALayerAgainAsBefore) {
  EXPECT_THAT(found_by("weights", "first layer only behind enter"),
              HasSubstr("where layers are computed again"));
}

TEST(CheckedFamily, CountsNoCalls) {
  EXPECT_THAT(found_by("state", "counts calls", {{"num_hidden_layers", 3}, {"mistaken_layer", 1}}),
              AllOf(HasSubstr("layer 1 gives other values"), HasSubstr("called again (call 7)")));
}

TEST(CheckedFamily, SharesNothingWithOtherModels) {
  EXPECT_THAT(found_by("state", "shared eps"),
              AllOf(HasSubstr("layer 0"), HasSubstr("another model of the family was configured")));
}

TEST(CheckedFamily, RunsOnAnyThread) {
  EXPECT_THAT(found_by("state", "expects its thread", {{"mistaken_layer", 1}}),
              AllOf(HasSubstr("layer 1"), HasSubstr("thread_local")));
}

TEST(CheckedFamily, AttendsWithinItsWindow) {
  EXPECT_THAT(found_by("windows", "no window"), HasSubstr("no layer's attention is windowed"));
}

TEST(CheckedFamily, HasAWindowThatIsCrossed) {
  EXPECT_THAT(found_by("windows", "", {{"sliding_window", 40}}), HasSubstr("make it 16 or less"));
}

TEST(CheckedFamily, ExportsOneSymbol) {
  const Sandbox sandbox;
  json manifest = {{"name", "many_symbols"},
                   {"version", "1"},
                   {"library", "many_symbols.so"},
                   {"abi", {1, 0}},
                   {"families", {"mistaken"}},
                   {"architectures", {"MistralForCausalLM"}},
                   {"check", {{"mistaken", configuration_of("mistaken")}}}};
  sandbox.write("many_symbols.gist.json", manifest.dump());
  EXPECT_THAT(failure_of_check(sandbox.library("many_symbols"), "abi"),
              HasSubstr("expected gist_plugin alone"));
}

// --- on a checkpoint, against transformers ---

/// A copy of a model's directory, in which keys of config.json are replaced.
std::filesystem::path copied_model(const Sandbox& sandbox, const std::string& model,
                                   const json& changed) {
  const std::filesystem::path from = fixtures / "models" / model;
  const std::filesystem::path to = sandbox.path() / model;
  std::filesystem::create_directory(to);
  std::filesystem::create_symlink(from / "model.safetensors", to / "model.safetensors");
  std::ifstream file(from / "config.json");
  json config = json::parse(file);
  config.update(changed);
  std::ofstream(to / "config.json") << config.dump();
  return to;
}

std::string found_against_golden(const std::string& mistake, int layer = -1) {
  const Sandbox sandbox;
  PluginCheckOptions options;
  options.checkpoint =
      copied_model(sandbox, "tiny-mistral", {{"mistake", mistake}, {"mistaken_layer", layer}});
  options.golden = fixtures / "golden/tiny-mistral/layers.safetensors";
  return failure_of_check(sandbox.plugin("mistaken"), "golden", options);
}

TEST(CheckedCheckpoint, AgreesWithTransformers) {
  EXPECT_EQ(found_against_golden(""), "");
  EXPECT_EQ(failure_of_check(GIST_MISTRAL, "golden",
                             {.checkpoint = fixtures / "models/tiny-mistral",
                              .golden = fixtures / "golden/tiny-mistral/layers.safetensors"}),
            "");
  EXPECT_EQ(failure_of_check(GIST_T5, "golden",
                             {.checkpoint = fixtures / "models/wordtasks-t5-gist",
                              .golden = fixtures / "golden/wordtasks-t5-gist/layers.safetensors"}),
            "");
}

TEST(CheckedCheckpoint, OfExpertsEqualsItsGolden) {
  EXPECT_EQ(failure_of_check(GIST_MIXTRAL, "golden",
                             {.checkpoint = fixtures / "models/tiny-mixtral",
                              .golden = fixtures / "golden/tiny-mixtral/layers.safetensors"}),
            "");
}

TEST(CheckedCheckpoint, NamesTheFirstLayerThatDiffers) {
  const auto of_one_token = HasSubstr("position 0, which sees itself alone, differs, too");
  const auto of_several = HasSubstr("look at what weighs several tokens");
  for (const char* mistake : {"eps", "swapped gate"}) {
    EXPECT_THAT(found_against_golden(mistake, 1),
                AllOf(HasSubstr("layer 1 differs at"), HasSubstr("first at position 0"),
                      of_one_token, HasSubstr("all else agrees")))
        << mistake;
  }
  EXPECT_THAT(found_against_golden("scale", 1),
              AllOf(HasSubstr("layer 1 differs at"), HasSubstr("first at position 1"), of_several));
  EXPECT_THAT(found_against_golden("rotation", 0),
              AllOf(HasSubstr("layer 0 differs at"), of_several, HasSubstr("all else agrees")));
  EXPECT_THAT(found_against_golden("scale"),
              AllOf(HasSubstr("layer 0 differs at"), HasSubstr("so differ layer 1")));
}

TEST(CheckedCheckpoint, NamesThePositionFromWhichAWindowIsMissing) {
  EXPECT_THAT(found_against_golden("no window", 1),
              AllOf(HasSubstr("layer 1 differs at"), HasSubstr("first at position 7")));
}

TEST(CheckedCheckpoint, NamesWhatStandsBeforeAndBehindTheLayers) {
  EXPECT_THAT(found_against_golden("embedding scale"),
              AllOf(HasSubstr("enter differs at"), HasSubstr("all else agrees")));
  EXPECT_THAT(found_against_golden("last norm"), HasSubstr("leave differs at"));
  EXPECT_THAT(found_against_golden("head scale"),
              AllOf(HasSubstr("the head differs at"), HasSubstr("scale and soft cap")));
}

TEST(CheckedCheckpoint, RefusesAGoldenOfAnotherModel) {
  EXPECT_THAT(failure_of_check(GIST_LLAMA, "golden",
                               {.checkpoint = fixtures / "models/stories260K",
                                .golden = fixtures / "golden/tiny-mistral/layers.safetensors"}),
              HasSubstr("the golden belongs to another checkpoint"));
  EXPECT_THAT(failure_of_check(GIST_MISTRAL, "golden",
                               {.checkpoint = fixtures / "models/tiny-mistral",
                                .golden = fixtures / "golden/tiny-mistral/train.safetensors"}),
              HasSubstr("has no tensor \"0.stack0.input_ids\""));
}

TEST(CheckedCheckpoint, HasNoTensorsThatNobodyTakes) {
  // Qwen 2's biases, in a checkpoint that says it is Mistral's.
  const Sandbox sandbox;
  PluginCheckOptions options;
  options.checkpoint =
      copied_model(sandbox, "tiny-qwen2",
                   {{"architectures", {"MistralForCausalLM"}}, {"model_type", "mistral"}});
  EXPECT_THAT(failure_of_check(sandbox.plugin("mistaken"), "checkpoint", options),
              AllOf(HasSubstr("no weight takes"), HasSubstr("bias")));
}

TEST(CheckedCheckpoint, HasNoKeysThatNobodyReads) {
  const Sandbox sandbox;
  const std::filesystem::path library = sandbox.plugin("mistaken");
  PluginCheckOptions options;
  options.checkpoint = copied_model(sandbox, "tiny-mistral", {{"rope_spiral", 2}});
  EXPECT_THAT(failure_of_check(library, "checkpoint", options),
              HasSubstr("never reads rope_spiral"));
  options.checkpoint = fixtures / "models/stories260K";
  EXPECT_THAT(failure_of_check(library, "checkpoint", options),
              HasSubstr("the library serves: MistralForCausalLM"));
}

}  // namespace
}  // namespace gist
