#include "plugins/host/config_host.h"

#include <gtest/gtest.h>

#include <string>

namespace gist {
namespace {

const nlohmann::json config = nlohmann::json::parse(R"({
  "layers": 5, "theta": 1e4, "tied": true, "act": "silu", "nothing": null,
  "huge": 18446744073709551615, "scaling": {"factor": 8, "nothing": null}, "a.b": 1, "a": {"b": 2}})");

TEST(ConfigHost, GivesValuesOfTheirType) {
  const gist_config handle(config);
  const gist_config_host& host = config_host();
  std::int64_t integer = 0;
  double number = 0;
  std::uint8_t boolean = 0;
  const char* text = nullptr;
  EXPECT_EQ(host.get_int(&handle, "layers", &integer), GIST_OK);
  EXPECT_EQ(integer, 5);
  EXPECT_EQ(host.get_float(&handle, "theta", &number), GIST_OK);
  EXPECT_EQ(number, 10000);
  EXPECT_EQ(host.get_float(&handle, "layers", &number), GIST_OK);
  EXPECT_EQ(number, 5);
  EXPECT_EQ(host.get_bool(&handle, "tied", &boolean), GIST_OK);
  EXPECT_EQ(boolean, 1);
  EXPECT_EQ(host.get_string(&handle, "act", &text), GIST_OK);
  EXPECT_STREQ(text, "silu");
}

TEST(ConfigHost, FollowsPathsAndPrefersAKeyOfThatName) {
  const gist_config handle(config);
  std::int64_t integer = 0;
  EXPECT_EQ(config_host().get_int(&handle, "scaling.factor", &integer), GIST_OK);
  EXPECT_EQ(integer, 8);
  EXPECT_EQ(config_host().get_int(&handle, "a.b", &integer), GIST_OK);
  EXPECT_EQ(integer, 1);
  EXPECT_EQ(config_host().get_int(&handle, "act.b", &integer), GIST_WRONG_TYPE);
}

TEST(ConfigHost, ReachesIntoLists) {
  const nlohmann::json lists = {{"types", {"a", nullptr, {{"n", 4}}}}, {"deep", {{{1, 2}}}}};
  const gist_config handle(lists);
  const char* text = nullptr;
  std::int64_t integer = 0;
  EXPECT_EQ(config_host().get_string(&handle, "types.0", &text), GIST_OK);
  EXPECT_STREQ(text, "a");
  EXPECT_EQ(config_host().get_int(&handle, "types.2.n", &integer), GIST_OK);
  EXPECT_EQ(integer, 4);
  EXPECT_EQ(config_host().get_int(&handle, "deep.0.0.1", &integer), GIST_OK);
  EXPECT_EQ(integer, 2);
  for (const char* key : {"types.1", "types.3", "types.99999999999999999999"}) {
    EXPECT_NE(config_host().get_int(&handle, key, &integer), GIST_OK) << key;
  }
  for (const char* key : {"types.", "types.-1", "types.x", "types.0x", "types.0.n"}) {
    EXPECT_EQ(config_host().get_int(&handle, key, &integer), GIST_WRONG_TYPE) << key;
  }
}

TEST(ConfigHost, KnowsWhichKeysNobodyAskedFor) {
  const nlohmann::json keys = {
      {"layers", 5},        {"nested", {{"a", 1}}},        {"off", false},
      {"nothing", nullptr}, {"torch_dtype", "float32"},    {"_commit_hash", "x"},
      {"use_cache", true},  {"residual_multiplier", 0.22}, {"alibi", true}};
  const gist_config handle(keys);
  std::int64_t integer = 0;
  (void)config_host().get_int(&handle, "layers", &integer);
  (void)config_host().get_int(&handle, "nested.a", &integer);
  (void)config_host().get_int(&handle, "absent", &integer);
  EXPECT_EQ(unread_keys(handle), (std::vector<std::string>{"alibi", "residual_multiplier"}));
}

TEST(ConfigHost, SaysMissingOrWrongTypeAndLeavesTheOutput) {
  const gist_config handle(config);
  std::int64_t integer = 7;
  for (const char* key : {"none", "nothing", "none.below", "nothing.below", "scaling.nothing"}) {
    EXPECT_EQ(config_host().get_int(&handle, key, &integer), GIST_MISSING) << key;
  }
  for (const char* key : {"theta", "tied", "act", "huge", "scaling"}) {
    EXPECT_EQ(config_host().get_int(&handle, key, &integer), GIST_WRONG_TYPE) << key;
  }
  EXPECT_EQ(integer, 7);
}

TEST(ConfigHost, GivesAnyValueAsJson) {
  const gist_config handle(config);
  const char* first = nullptr;
  const char* second = nullptr;
  EXPECT_EQ(config_host().get_json(&handle, "scaling", &first), GIST_OK);
  EXPECT_EQ(config_host().get_json(&handle, "act", &second), GIST_OK);
  EXPECT_STREQ(first, R"({"factor":8,"nothing":null})");
  EXPECT_STREQ(second, "\"silu\"");
}

TEST(ConfigHost, KeepsTheFirstRejection) {
  const gist_config handle(config);
  config_host().reject(&handle, "first");
  config_host().reject(&handle, "second");
  EXPECT_EQ(handle.rejected, "first");
}

}  // namespace
}  // namespace gist
