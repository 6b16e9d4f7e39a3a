#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "plugins/host/config_host.h"
#include "plugins/host/plugin_family.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// A configuration as Hugging Face writes it, with some keys replaced (null: as if missing).
json config_with(const json& replaced = json::object()) {
  json config = {{"architectures", {"LlamaForCausalLM"}},
                 {"hidden_size", 64},
                 {"intermediate_size", 172},
                 {"num_hidden_layers", 5},
                 {"num_attention_heads", 8},
                 {"num_key_value_heads", 4},
                 {"vocab_size", 513},
                 {"max_position_embeddings", 512},
                 {"rms_norm_eps", 1e-5},
                 {"hidden_act", "silu"}};
  config.update(replaced);
  return config;
}

const LoadedPlugin& llama() {
  static const LoadedPlugin plugin = load_plugin(GIST_LLAMA);
  return plugin;
}

std::unique_ptr<Family> configured(const json& replaced = json::object()) {
  return configure_family(llama(), llama().families[0], config_with(replaced), "LlamaForCausalLM",
                          "m/config.json");
}

std::string rejection(const json& replaced) {
  return error_of(ErrorKind::data, [&] { configured(replaced); });
}

const WeightSpec* weight(const ModelSpec& spec, const std::string& name) {
  const auto found = std::find_if(spec.weights.begin(), spec.weights.end(),
                                  [&](const WeightSpec& w) { return w.name == name; });
  return found == spec.weights.end() ? nullptr : &*found;
}

TEST(Llama, DeclaresWhatTheConfigurationSays) {
  const ModelSpec spec = configured()->spec();
  EXPECT_EQ(spec.family, "llama");
  EXPECT_EQ(spec.d_model, 64);
  EXPECT_EQ(spec.vocabulary, 513);
  EXPECT_EQ(spec.max_positions, 512);
  EXPECT_EQ(spec.key_position, KeyPosition::rotated);
  EXPECT_EQ(spec.stacks[0].layers, 5);
  EXPECT_EQ(spec.stacks[0].heads, 8);
  EXPECT_EQ(spec.stacks[0].kv_heads, 4);
  EXPECT_EQ(spec.stacks[0].key_dim, 8);
  EXPECT_EQ(spec.stacks[0].value_dim, 8);
}

TEST(Llama, NamesWeightsAsHuggingFaceDoes) {
  const ModelSpec spec = configured()->spec();
  EXPECT_EQ(spec.weights.size(), 12U);
  const std::string layer = "model.layers.{layer}.";
  EXPECT_EQ(weight(spec, layer + "self_attn.q_proj.weight")->shape, (Shape{64, 64}));
  EXPECT_EQ(weight(spec, layer + "self_attn.k_proj.weight")->shape, (Shape{32, 64}));
  EXPECT_EQ(weight(spec, layer + "self_attn.v_proj.weight")->shape, (Shape{32, 64}));
  EXPECT_EQ(weight(spec, layer + "self_attn.o_proj.weight")->shape, (Shape{64, 64}));
  EXPECT_EQ(weight(spec, layer + "mlp.gate_proj.weight")->shape, (Shape{172, 64}));
  EXPECT_EQ(weight(spec, layer + "mlp.up_proj.weight")->shape, (Shape{172, 64}));
  EXPECT_EQ(weight(spec, layer + "mlp.down_proj.weight")->shape, (Shape{64, 172}));
  EXPECT_EQ(weight(spec, layer + "input_layernorm.weight")->shape, (Shape{64}));
  EXPECT_EQ(weight(spec, layer + "post_attention_layernorm.weight")->shape, (Shape{64}));
  EXPECT_EQ(weight(spec, "model.embed_tokens.weight")->use, WeightUse::table);
  EXPECT_EQ(weight(spec, "model.norm.weight")->init.kind, Initializer::Kind::constant);
  EXPECT_EQ(weight(spec, "lm_head.weight")->tied_to, "");
  EXPECT_FLOAT_EQ(weight(spec, "lm_head.weight")->init.value, 0.02F);
}

TEST(Llama, TiesTheHeadWhereTheConfigurationDoes) {
  const ModelSpec spec = configured({{"tie_word_embeddings", true}})->spec();
  EXPECT_EQ(weight(spec, "lm_head.weight")->tied_to, "model.embed_tokens.weight");
}

TEST(Llama, TakesAHeadDimensionOfItsOwn) {
  const ModelSpec spec =
      configured({{"head_dim", 24}, {"num_attention_heads", 6}, {"num_key_value_heads", 2}})
          ->spec();
  EXPECT_EQ(spec.stacks[0].key_dim, 24);
  EXPECT_EQ(weight(spec, "model.layers.{layer}.self_attn.o_proj.weight")->shape, (Shape{64, 144}));
}

TEST(Llama, HasAsManyKeyHeadsAsHeadsWhereNoneAreGiven) {
  EXPECT_EQ(configured({{"num_key_value_heads", nullptr}})->spec().stacks[0].kv_heads, 8);
}

TEST(Llama, DeclaresBiasesWhereTheConfigurationHasThem) {
  const ModelSpec spec = configured({{"attention_bias", true}, {"mlp_bias", true}})->spec();
  EXPECT_EQ(weight(spec, "model.layers.{layer}.self_attn.k_proj.bias")->shape, (Shape{32}));
  EXPECT_EQ(weight(spec, "model.layers.{layer}.self_attn.o_proj.bias")->shape, (Shape{64}));
  EXPECT_EQ(weight(spec, "model.layers.{layer}.mlp.up_proj.bias")->shape, (Shape{172}));
  EXPECT_EQ(weight(configured()->spec(), "model.layers.{layer}.mlp.up_proj.bias"), nullptr);
}

TEST(Llama, RejectsAMissingKeyByName) {
  const std::pair<const char*, const char*> limits[] = {{"hidden_size", "16777216"},
                                                        {"intermediate_size", "16777216"},
                                                        {"num_hidden_layers", "10000"},
                                                        {"num_attention_heads", "100000"},
                                                        {"vocab_size", "16777216"}};
  for (const auto& [key, most] : limits) {
    EXPECT_EQ(rejection({{key, nullptr}}), std::string("m/config.json: ") + key +
                                               ": expected an integer from 1 to " + most +
                                               ", found nothing");
  }
}

TEST(Llama, RejectsEachNumberOutOfRangeByName) {
  for (const char* key :
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "head_dim", "vocab_size", "max_position_embeddings"}) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{INT32_MAX},
                                     std::int64_t{1} << 32, INT64_MIN, INT64_MAX}) {
      EXPECT_THAT(rejection({{key, value}}),
                  HasSubstr(std::string("m/config.json: ") + key + ": expected an integer"))
          << value;
    }
  }
}

TEST(Llama, RejectsAWrongTypeOrRangeWithWhatWasFound) {
  EXPECT_THAT(rejection({{"hidden_size", "64"}}),
              HasSubstr("hidden_size: expected an integer from 1 to 16777216, found \"64\""));
  EXPECT_THAT(rejection({{"hidden_size", 64.5}}), HasSubstr("found 64.5"));
  EXPECT_THAT(rejection({{"vocab_size", 0}}), HasSubstr("found 0"));
  EXPECT_THAT(rejection({{"num_hidden_layers", -3}}), HasSubstr("found -3"));
  EXPECT_THAT(rejection({{"rms_norm_eps", 0}}),
              HasSubstr("rms_norm_eps: expected a number above 0, found 0"));
  EXPECT_THAT(rejection({{"tie_word_embeddings", "yes"}}),
              HasSubstr("tie_word_embeddings: expected true or false, found \"yes\""));
}

TEST(Llama, RejectsContradictions) {
  EXPECT_THAT(rejection({{"num_key_value_heads", 3}}),
              HasSubstr("expected a divisor of num_attention_heads (8), found 3"));
  EXPECT_THAT(
      rejection({{"hidden_size", 60}}),
      HasSubstr("expected a multiple of num_attention_heads (8), as head_dim is not given"));
  EXPECT_THAT(rejection({{"head_dim", 7}}), HasSubstr("head_dim: expected an even dimension"));
  EXPECT_THAT(rejection({{"rope_parameters", {{"rope_theta", 1e4}}},
                         {"rope_scaling", {{"type", "linear"}, {"factor", 2}}}}),
              HasSubstr("rope_scaling: expected none beside rope_parameters"));
  EXPECT_THAT(rejection({{"model_type", "mistral"}}),
              HasSubstr("model_type: expected \"llama\", found \"mistral\""));
}

TEST(Llama, RejectsWhatItCannotCompute) {
  EXPECT_THAT(rejection({{"hidden_act", "gelu"}}),
              HasSubstr("hidden_act: expected \"silu\", found \"gelu\""));
  EXPECT_THAT(rejection({{"rope_scaling", {{"rope_type", "spiral"}, {"factor", 2}}}}),
              HasSubstr("rope_scaling.rope_type: expected \"default\", \"linear\", \"dynamic\", "
                        "\"llama3\", \"yarn\" or \"longrope\", found \"spiral\""));
  EXPECT_THAT(rejection({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, 2}}}}}),
              HasSubstr("rope_scaling.short_factor: expected a list of 4 numbers, found [1,2]"));
  EXPECT_THAT(rejection({{"rope_scaling", {{"type", "longrope"}, {"short_factor", {1, "2"}}}}}),
              HasSubstr("rope_scaling.short_factor: expected a list of numbers"));
  for (const json& scaling :
       {json{{"rope_type", "yarn"}, {"factor", 4.0}, {"beta_slow", 1e-320}},
        json{{"rope_type", "linear"}, {"factor", 1e-300}},
        json{{"rope_type", "longrope"}, {"short_factor", {1e-300, 1, 1, 1}}}}) {
    EXPECT_THAT(rejection({{"rope_theta", 1}, {"rope_scaling", scaling}}),
                HasSubstr("rope_scaling: expected numbers that give finite frequencies, with a "
                          "theta of 1"))
        << scaling;
  }
  EXPECT_THAT(rejection({{"rope_scaling", {{"type", "linear"}}}}),
              HasSubstr("rope_scaling.factor: expected a number above 0, found nothing"));
  EXPECT_THAT(rejection({{"rope_scaling", "linear"}}), HasSubstr("rope_scaling"));
}

TEST(Llama, RejectsByNameWhatOtherArchitecturesCompute) {
  const json changes[] = {{{"sliding_window", 4096}},
                          {{"use_sliding_window", true}, {"sliding_window", 4096}},
                          {{"partial_rotary_factor", 0.5}},
                          {{"rope_parameters", {{"partial_rotary_factor", 0.5}}}},
                          {{"attention_multiplier", 0.1}},
                          {{"embedding_multiplier", 12}},
                          {{"residual_multiplier", 0.2}},
                          {{"logits_scaling", 8}},
                          {{"final_logit_softcapping", 30}},
                          {{"num_local_experts", 8}},
                          {{"qkv_bias", true}},
                          {{"use_qk_norm", true}},
                          {{"attention_dropout", 1}}};
  for (const json& change : changes) {
    const std::string key = change.size() == 1 ? change.begin().key() : "sliding_window";
    EXPECT_THAT(rejection(change), HasSubstr("m/config.json: " + key)) << change;
  }
  const json harmless[] = {{{"sliding_window", nullptr}},
                           {{"use_sliding_window", false}, {"sliding_window", 4096}},
                           {{"partial_rotary_factor", 1.0}},
                           {{"logits_scaling", 1}},
                           {{"qkv_bias", false}},
                           {{"pretraining_tp", 2}}};
  for (const json& change : harmless) EXPECT_NO_THROW(configured(change)) << change;
}

/// Operations that note with which frequencies attention is called.
std::vector<float>& noted() {
  static std::vector<float> frequencies;
  return frequencies;
}
float noted_dropout = 0;
float noted_scale = 0;
gist_tensor any_linear(gist_pass*, gist_tensor, std::int32_t, std::int32_t) {
  return 1;
}
gist_tensor any_norm(gist_pass*, gist_tensor, std::int32_t, float, float) {
  return 1;
}
gist_tensor any_add(gist_pass*, gist_tensor, gist_tensor) {
  return 1;
}
gist_tensor any_gate(gist_pass*, std::uint32_t, gist_tensor, gist_tensor) {
  return 1;
}
gist_tensor note(gist_pass*, gist_tensor, gist_tensor, gist_tensor, const gist_attention* asked) {
  noted_dropout = asked->dropout;
  noted_scale = asked->rope_scale;
  noted().assign(asked->rope_inv_freq, asked->rope_inv_freq + asked->rope_dims / 2);
  return 1;
}

std::vector<float> frequencies(const json& replaced) {
  const gist_family& family = *llama().families[0].callbacks;
  const json config = config_with(replaced);
  const gist_config handle(config);
  gist_model model{};
  model.size = sizeof(gist_model);
  if (family.configure(&config_host(), &handle, &model) != GIST_OK) return {};
  gist_ops ops{};
  ops.size = sizeof(gist_ops);
  ops.linear = any_linear;
  ops.rms_norm = any_norm;
  ops.add = any_add;
  ops.gated_activation = any_gate;
  ops.attention = note;
  family.layer(model.self, &ops, nullptr, 0, 0, 1);
  family.destroy(model.self);
  return noted();
}

testing::Matcher<std::vector<float>> are(std::vector<float> expected) {
  std::vector<testing::Matcher<float>> each;
  for (const float value : expected) each.push_back(testing::FloatNear(value, 2e-6F * value));
  return testing::ElementsAreArray(each);
}

TEST(Llama, DropsAttentionAsTheConfigurationSays) {
  frequencies(json::object());
  EXPECT_EQ(noted_dropout, 0);
  frequencies({{"attention_dropout", 0.25}});
  EXPECT_EQ(noted_dropout, 0.25F);
}

// Expected values: Hugging Face's formulas, evaluated in double precision.
TEST(Llama, RotatesByTheFrequenciesOfTheta) {
  EXPECT_THAT(frequencies(json::object()), are({1.0F, 0.1F, 0.01F, 0.001F}));
  EXPECT_THAT(frequencies({{"rope_theta", 500000}}),
              are({1.0F, 0.0376060309F, 0.00141421356F, 5.3182959e-05F}));
  EXPECT_THAT(frequencies({{"rope_parameters", {{"rope_theta", 500000}}}}),
              are({1.0F, 0.0376060309F, 0.00141421356F, 5.3182959e-05F}));
}

TEST(Llama, ScalesFrequenciesLinearly) {
  EXPECT_THAT(frequencies({{"rope_scaling", {{"type", "linear"}, {"factor", 4.0}}}}),
              are({0.25F, 0.025F, 0.0025F, 0.00025F}));
}

TEST(Llama, ScalesFrequenciesAsYarnDoes) {
  EXPECT_THAT(
      frequencies(
          {{"rope_scaling",
            {{"rope_type", "yarn"}, {"factor", 4.0}, {"original_max_position_embeddings", 256}}}}),
      are({1.0F, 0.0625F, 0.0025F, 0.00025F}));
  EXPECT_FLOAT_EQ(noted_scale, 1.138629436F);
  EXPECT_THAT(frequencies({{"max_position_embeddings", 128},
                           {"rope_scaling",
                            {{"rope_type", "yarn"},
                             {"factor", 4.0},
                             {"beta_fast", 8.0},
                             {"beta_slow", 0.5},
                             {"mscale", 0.7},
                             {"mscale_all_dim", 1.3},
                             {"truncate", false}}}}),
              are({1.0F, 0.0629983023F, 0.0025F, 0.00025F}));
  EXPECT_FLOAT_EQ(noted_scale, 0.9295234924F);
}

TEST(Llama, ScalesFrequenciesAsLongropeDoesWithinTheOldContext) {
  json scaling = {{"rope_type", "longrope"},
                  {"short_factor", {1.0, 1.5, 2.0, 4.0}},
                  {"long_factor", {3.0, 3.0, 3.0, 3.0}}};
  const auto config = [&] {
    return json{{"rope_scaling", scaling},
                {"max_position_embeddings", 2048},
                {"original_max_position_embeddings", 256}};
  };
  EXPECT_THAT(frequencies(config()), are({1.0F, 0.0666666667F, 0.005F, 0.00025F}));
  EXPECT_FLOAT_EQ(noted_scale, 1.17260394F);
  EXPECT_EQ(configured(config())->spec().max_positions, 256)
      << "longer texts have other frequencies";
  scaling["attention_factor"] = 1.25;
  frequencies(config());
  EXPECT_FLOAT_EQ(noted_scale, 1.25F);
}

TEST(Llama, ScalesFrequenciesAsLlama3Does) {
  EXPECT_THAT(frequencies({{"rope_theta", 500000},
                           {"rope_scaling",
                            {{"rope_type", "llama3"},
                             {"factor", 8.0},
                             {"low_freq_factor", 1.0},
                             {"high_freq_factor", 4.0},
                             {"original_max_position_embeddings", 8192}}}}),
              are({1.0F, 0.0376060309F, 0.000524846161F, 6.64786987e-06F}));
}

}  // namespace
}  // namespace gist
