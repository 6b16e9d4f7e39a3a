#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "plugins/host/plugin_family.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

/// A configuration as Hugging Face writes it, with some keys replaced (null: as if missing).
json t5_config_with(const json& replaced) {
  json config = {{"architectures", {"T5ForConditionalGeneration"}},
                 {"model_type", "t5"},
                 {"d_model", 16},
                 {"d_kv", 4},
                 {"d_ff", 24},
                 {"num_layers", 2},
                 {"num_decoder_layers", 2},
                 {"num_heads", 4},
                 {"vocab_size", 640},
                 {"feed_forward_proj", "gated-gelu"},
                 {"relative_attention_num_buckets", 32},
                 {"relative_attention_max_distance", 128},
                 {"decoder_start_token_id", 0}};
  config.update(replaced);
  return config;
}

std::unique_ptr<Family> configured_t5(const json& replaced = json::object()) {
  static const LoadedPlugin plugin = load_plugin(GIST_T5);
  return configure_family(plugin, plugin.families[0], t5_config_with(replaced),
                          "T5ForConditionalGeneration", "m/config.json");
}

std::string t5_rejection(const json& replaced) {
  return error_of(ErrorKind::data, [&] { configured_t5(replaced); });
}

struct Head {
  std::string tied_to;
  float scale = 0;
  bool operator==(const Head&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Head& head) {
  return out << "tied to \"" << head.tied_to << "\", scale " << head.scale;
}

Head head_of(const json& replaced) {
  const ModelSpec spec = configured_t5(replaced)->spec();
  return {spec.weights[static_cast<std::size_t>(spec.head.weight)].tied_to, spec.head.scale};
}

TEST(T5, ScalesTheHeadWhereItIsTiedUnlessTheConfigurationSaysOtherwise) {
  const float scale = 1 / std::sqrt(16.0F);
  EXPECT_EQ(head_of(json::object()), (Head{"shared.weight", scale}));
  EXPECT_EQ(head_of({{"tie_word_embeddings", false}}), (Head{"", 1}));
  EXPECT_EQ(head_of({{"scale_decoder_outputs", false}}), (Head{"shared.weight", 1}));
  EXPECT_EQ(head_of({{"scale_decoder_outputs", true}}), (Head{"shared.weight", scale}));
  EXPECT_EQ(head_of({{"tie_word_embeddings", false}, {"scale_decoder_outputs", false}}),
            (Head{"", 1}));
}

TEST(T5, FindsItsTableUnderEachOfItsNames) {
  const ModelSpec spec = configured_t5()->spec();
  const auto table = std::find_if(spec.weights.begin(), spec.weights.end(),
                                  [](const WeightSpec& w) { return w.name == "shared.weight"; });
  EXPECT_THAT(table->other_names,
              ElementsAre("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"));
}

TEST(T5, RejectsEachNumberOutOfRangeByName) {
  for (const char* key : {"d_model", "d_kv", "d_ff", "num_layers", "num_decoder_layers",
                          "num_heads", "vocab_size", "relative_attention_num_buckets",
                          "relative_attention_max_distance", "decoder_start_token_id"}) {
    for (const std::int64_t value : {std::int64_t{0}, std::int64_t{-1}, std::int64_t{INT32_MAX},
                                     std::int64_t{1} << 32, INT64_MIN, INT64_MAX}) {
      if (value == 0 && key == std::string("decoder_start_token_id")) continue;  // a token's id
      EXPECT_THAT(t5_rejection({{key, value}}),
                  HasSubstr(std::string("m/config.json: ") + key + ": expected"))
          << value;
    }
  }
}

TEST(T5, RejectsAMissingKeyByName) {
  for (const char* key : {"d_model", "d_kv", "d_ff", "num_layers", "num_heads", "vocab_size"}) {
    EXPECT_THAT(t5_rejection({{key, nullptr}}), HasSubstr(std::string(key) + ": expected"));
  }
  for (const char* key : {"num_decoder_layers", "decoder_start_token_id", "model_type",
                          "relative_attention_num_buckets", "relative_attention_max_distance"}) {
    EXPECT_NO_THROW(configured_t5({{key, nullptr}})) << key;
  }
}

TEST(T5, RejectsByNameWhatItCannotCompute) {
  EXPECT_THAT(t5_rejection({{"model_type", "longt5"}}), HasSubstr("model_type: expected"));
  EXPECT_THAT(t5_rejection({{"feed_forward_proj", "gated-tanh"}}),
              HasSubstr("feed_forward_proj: "));
  EXPECT_THAT(t5_rejection({{"dense_act_fn", "tanh"}}), HasSubstr("dense_act_fn: expected"));
  EXPECT_THAT(t5_rejection({{"tie_encoder_decoder", true}}), HasSubstr("tie_encoder_decoder: "));
  EXPECT_THAT(t5_rejection({{"dropout_rate", 1}}), HasSubstr("dropout_rate: expected"));
}

}  // namespace
}  // namespace gist
