#include "formats/model/unread_tensors.h"

#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Stored {
  std::string name;
  std::string values;  // U8
  std::string shape = "";
};

/// Checkpoints of a model of width 2 whose vocabulary has 2 tokens: a table, which the head is tied
/// to, and a norm in its one layer.
class UnreadTensors : public ::testing::Test {
 protected:
  UnreadTensors() {
    spec_.d_model = 2;
    spec_.vocabulary = 2;
    spec_.stacks.resize(1);
    spec_.stacks[0].layers = 1;
    spec_.weights = {{"table", {2, 2}, WeightUse::table, std::nullopt, "", {}, {"old_table"}},
                     {"layers.{layer}.norm", {2}, WeightUse::vector, 0, "", {}},
                     {"head", {2, 2}, WeightUse::matrix, std::nullopt, "table", {}}};
  }

  std::vector<std::string> unread(std::vector<Stored> more) {
    std::vector<Stored> all{{"layers.0.norm", "nn", "2"}};
    all.insert(all.end(), more.begin(), more.end());
    std::string header, data;
    for (const Stored& stored : all) {
      header += fmt::format(R"({}"{}":{{"dtype":"U8","shape":[{}],"data_offsets":[{},{}]}})",
                            header.empty() ? "" : ",", stored.name,
                            stored.shape.empty() ? "2,2" : stored.shape, data.size(),
                            data.size() + stored.values.size());
      data += stored.values;
    }
    write_file(directory_ / "model.safetensors", safetensors_bytes("{" + header + "}", data));
    return unread_tensors(Checkpoint(directory_.path()), spec_);
  }

  ModelSpec spec_;
  const TemporaryDirectory directory_;
};

TEST_F(UnreadTensors, AreThoseThatTheModelDoesntDeclare) {
  EXPECT_THAT(unread({{"table", "abcd"}}), IsEmpty());
  EXPECT_THAT(
      unread({{"table", "abcd"}, {"layers.0.bias", "xy", "2"}, {"layers.1.norm", "nn", "2"}}),
      ElementsAre("layers.0.bias", "layers.1.norm"));
}

TEST_F(UnreadTensors, ComputedOnesAreNone) {
  EXPECT_THAT(unread({{"table", "abcd"},
                      {"layers.0.self_attn.rotary_emb.inv_freq", "x", "1"},
                      {"freqs_cis", "x", "1"},
                      {"embeddings.position_ids", "x", "1"},
                      {"h.0.attn.masked_bias", "x", "1"},
                      {"h.0.attn.bias", "abcd", "1,1,2,2"}}),
              IsEmpty());
  EXPECT_THAT(unread({{"table", "abcd"}, {"h.0.attn.bias", "ab", "2"}}),
              ElementsAre("h.0.attn.bias"));
}

TEST_F(UnreadTensors, CopiesOfATableAreNone) {
  EXPECT_THAT(unread({{"table", "abcd"}, {"old_table", "abcd"}, {"head", "abcd"}, {"x", "abcd"}}),
              IsEmpty());
  EXPECT_THAT(unread({{"old_table", "abcd"}, {"head", "abcd"}}), IsEmpty());
  EXPECT_THAT(unread({{"table", "abcd"}, {"old_table", "abce"}}), ElementsAre("old_table"));
}

TEST_F(UnreadTensors, AHeadWithOtherValuesThanWhatItIsTiedToIsToldApart) {
  const std::vector<std::string> names = unread({{"table", "abcd"}, {"head", "wxyz"}});
  EXPECT_THAT(names, ElementsAre("head"));
  EXPECT_EQ(stored_untied(names, spec_), "head");
  EXPECT_EQ(stored_untied({"x"}, spec_), "");
}

TEST_F(UnreadTensors, PatternsAreThoseOfFileNames) {
  EXPECT_TRUE(matches_any("model.layers.0.q_proj.bias", {"x", "*.bias"}));
  EXPECT_TRUE(matches_any("model.layers.0.q_proj.bias", {"model.layers.?.q_proj.[ab]*"}));
  EXPECT_FALSE(matches_any("model.layers.0.q_proj.bias", {"bias", "*.weight"}));
  EXPECT_FALSE(matches_any("a", {}));
}

}  // namespace
}  // namespace gist
