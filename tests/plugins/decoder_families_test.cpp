// What tells the families of rotary decoders from LLaMA, as their configurations say it. What they
// compute is compared with transformers' own models in tests/core/golden_test.cpp.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "plugins/host/plugin_family.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json config_of(const json& replaced) {
  json config = {{"hidden_size", 64},        {"intermediate_size", 172}, {"num_hidden_layers", 3},
                 {"num_attention_heads", 8}, {"num_key_value_heads", 4}, {"vocab_size", 513},
                 {"hidden_act", "silu"}};
  config.update(replaced);
  return config;
}

ModelSpec configured(const char* library, const json& replaced) {
  const LoadedPlugin plugin = load_plugin(library);
  return configure_family(plugin, plugin.families[0], config_of(replaced), "AnyForCausalLM",
                          "m/config.json")
      ->spec();
}

std::string rejection(const char* library, const json& replaced) {
  return error_of(ErrorKind::data, [&] { configured(library, replaced); });
}

bool declares(const ModelSpec& spec, const std::string& name, const Shape& shape) {
  return std::any_of(spec.weights.begin(), spec.weights.end(), [&](const WeightSpec& weight) {
    return weight.name == "model.layers.{layer}." + name && weight.shape == shape;
  });
}

TEST(Gemma2, HasEverySecondLayerWithinTheWindow) {
  const json gemma = {{"model_type", "gemma2"}, {"hidden_act", nullptr}, {"head_dim", 16}};
  const auto with = [&](const json& own) {
    json config = gemma;
    config.update(own);
    return config;
  };
  EXPECT_EQ(configured(GIST_GEMMA, with({{"sliding_window", 24}})).stacks[0].window, 24);
  const ModelSpec capped = configured(GIST_GEMMA, with({{"final_logit_softcapping", 30}}));
  EXPECT_EQ(capped.head.soft_cap, 30);
  EXPECT_EQ(capped.weights[static_cast<std::size_t>(capped.head.weight)].tied_to,
            "model.embed_tokens.weight");
  const json full = {"full_attention", "full_attention", "full_attention"};
  EXPECT_EQ(configured(GIST_GEMMA, with({{"layer_types", full}})).stacks[0].window, 0);
  EXPECT_THAT(rejection(GIST_GEMMA, with({{"hidden_activation", "gelu"}})),
              HasSubstr("hidden_activation: expected \"gelu_pytorch_tanh\""));
  EXPECT_THAT(rejection(GIST_GEMMA, with({{"use_bidirectional_attention", true}})),
              HasSubstr("use_bidirectional_attention"));
}

TEST(Phi3, RotatesAShareOfEachHead) {
  const json phi = {{"model_type", "phi3"}, {"head_dim", 16}};
  const auto with = [&](double share) {
    json config = phi;
    config["partial_rotary_factor"] = share;
    return config;
  };
  EXPECT_TRUE(declares(configured(GIST_PHI3, phi), "self_attn.qkv_proj.weight", {256, 64}));
  configured(GIST_PHI3, with(0.75));
  for (const double share : {0.2, 0.01, 1.5, 0.0, -1.0}) {
    EXPECT_THAT(rejection(GIST_PHI3, with(share)), HasSubstr("partial_rotary_factor: expected"))
        << share;
  }
}

TEST(Gpt2, ReadsCheckpointsWithAndWithoutAPrefix) {
  const json config = {{"n_embd", 64}, {"n_layer", 3}, {"n_head", 8}, {"vocab_size", 513}};
  const ModelSpec spec = configured(GIST_GPT2, config);
  EXPECT_EQ(spec.key_position, KeyPosition::absolute);
  EXPECT_EQ(spec.max_positions, 1024);
  const auto fused =
      std::find_if(spec.weights.begin(), spec.weights.end(), [](const WeightSpec& weight) {
        return weight.name == "transformer.h.{layer}.attn.c_attn.weight";
      });
  ASSERT_NE(fused, spec.weights.end());
  EXPECT_EQ(fused->shape, (Shape{192, 64}));
  EXPECT_TRUE(fused->stored_transposed);
  EXPECT_EQ(other_weight_names(*fused, 2), std::vector<std::string>{"h.2.attn.c_attn.weight"});
  EXPECT_THAT(rejection(GIST_GPT2, {{"n_embd", 60}, {"n_head", 8}, {"n_layer", 1}}),
              HasSubstr("n_embd: expected a multiple of n_head (8), found 60"));
  EXPECT_THAT(rejection(GIST_GPT2, {{"n_embd", 64}, {"activation_function", "relu"}}),
              HasSubstr("activation_function"));
}

TEST(Mistral, HasTheWindowThatItsConfigurationNames) {
  EXPECT_EQ(configured(GIST_MISTRAL, {{"sliding_window", 24}}).stacks[0].window, 24);
  EXPECT_EQ(configured(GIST_MISTRAL, {{"sliding_window", nullptr}}).stacks[0].window, 0);
  EXPECT_THAT(rejection(GIST_MISTRAL, {{"sliding_window", 0}}),
              HasSubstr("sliding_window: expected an integer from 1"));
  EXPECT_THAT(rejection(GIST_MISTRAL, {{"attention_bias", true}}), HasSubstr("attention_bias"));
  EXPECT_THAT(rejection(GIST_MISTRAL, {{"model_type", "llama"}}),
              HasSubstr("model_type: expected \"mistral\", found \"llama\""));
}

TEST(Mixtral, HasAMatrixOfEachExpert) {
  const ModelSpec spec = configured(GIST_MIXTRAL, {{"num_local_experts", 5}});
  EXPECT_TRUE(declares(spec, "block_sparse_moe.gate.weight", {5, 64}));
  for (const int expert : {0, 4}) {
    const std::string name = fmt::format("block_sparse_moe.experts.{}.", expert);
    EXPECT_TRUE(declares(spec, name + "w1.weight", {172, 64}));
    EXPECT_TRUE(declares(spec, name + "w2.weight", {64, 172}));
    EXPECT_TRUE(declares(spec, name + "w3.weight", {172, 64}));
  }
  EXPECT_FALSE(declares(spec, "block_sparse_moe.experts.5.w1.weight", {172, 64}));
  EXPECT_THAT(rejection(GIST_MIXTRAL, {{"num_local_experts", 2}, {"num_experts_per_tok", 3}}),
              HasSubstr("num_experts_per_tok: expected at most num_local_experts (2), found 3"));
  EXPECT_THAT(rejection(GIST_MIXTRAL, {{"router_jitter_noise", 0.1}}),
              HasSubstr("router_jitter_noise: expected 0"));
}

TEST(Mixtral, SaysThatTheRouterHasNoLossOfItsOwn) {
  EXPECT_TRUE(configured(GIST_MIXTRAL, {{"router_aux_loss_coef", 0.02}}).warnings.empty());
  EXPECT_THAT(configured(GIST_MIXTRAL, {{"output_router_logits", true}}).warnings,
              testing::ElementsAre(HasSubstr("output_router_logits: training adds no loss")));
}

TEST(Qwen2, HasBiasesOfQueriesKeysAndValuesAlone) {
  const ModelSpec spec = configured(GIST_QWEN2, json::object());
  EXPECT_TRUE(declares(spec, "self_attn.q_proj.bias", {64}));
  EXPECT_TRUE(declares(spec, "self_attn.k_proj.bias", {32}));
  EXPECT_TRUE(declares(spec, "self_attn.v_proj.bias", {32}));
  EXPECT_FALSE(declares(spec, "self_attn.o_proj.bias", {64}));
  EXPECT_EQ(spec.max_positions, 32768);
}

TEST(Qwen2, HasAWindowWhereItIsUsed) {
  const json window = {{"sliding_window", 4096}, {"max_window_layers", 2}};
  EXPECT_EQ(configured(GIST_QWEN2, window).stacks[0].window, 0);
  json used = window;
  used["use_sliding_window"] = true;
  EXPECT_EQ(configured(GIST_QWEN2, used).stacks[0].window, 4096);
  used["sliding_window"] = nullptr;
  EXPECT_THAT(rejection(GIST_QWEN2, used), HasSubstr("sliding_window: expected an integer"));
}

TEST(Qwen2, ReadsAListOfLayers) {
  const json full = {"full_attention", "full_attention", "full_attention"};
  const json mixed = {"full_attention", "sliding_attention", "full_attention"};
  EXPECT_EQ(configured(GIST_QWEN2, {{"layer_types", full}}).stacks[0].window, 0);
  EXPECT_EQ(
      configured(GIST_QWEN2,
                 {{"layer_types", mixed}, {"use_sliding_window", true}, {"sliding_window", 9}})
          .stacks[0]
          .window,
      9);
  EXPECT_THAT(rejection(GIST_QWEN2, {{"layer_types", mixed}}),
              HasSubstr("layer_types: expected full attention where use_sliding_window is false"));
  for (const json& wrong :
       {json{"full_attention"}, json{"full_attention", "x", "full_attention"}}) {
    EXPECT_THAT(rejection(GIST_QWEN2, {{"layer_types", wrong}}), HasSubstr("for each of 3 layers"));
  }
  for (const json& wrong : {json(7), json{1, 2, 3}, json{"a\"b"}, json("full_attention"),
                            json{{"full_attention", 1}}}) {
    EXPECT_THAT(rejection(GIST_QWEN2, {{"layer_types", wrong}}),
                HasSubstr("layer_types: expected a list of plain strings"))
        << wrong;
  }
}

TEST(Qwen3, NormsEachHeadOf128DimensionsUnlessToldOtherwise) {
  EXPECT_TRUE(declares(configured(GIST_QWEN3, json::object()), "self_attn.q_norm.weight", {128}));
  const ModelSpec spec = configured(GIST_QWEN3, {{"head_dim", 12}});
  EXPECT_TRUE(declares(spec, "self_attn.k_norm.weight", {12}));
  EXPECT_TRUE(declares(spec, "self_attn.q_proj.weight", {96, 64}));
  EXPECT_THAT(rejection(GIST_QWEN3, {{"head_dim", 11}}), HasSubstr("head_dim: expected an even"));
}

}  // namespace
}  // namespace gist
