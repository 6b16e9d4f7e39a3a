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
