#include "gist/run_settings.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

using nlohmann::ordered_json;

TEST(RunSettings, TheFirstThatDiffersIsNamed) {
  const nlohmann::json before{{"seed", 1}, {"stop", {"x"}}, {"dtype", "f32"}};
  EXPECT_EQ(settings_difference(before, {{"stop", {"x"}}, {"seed", 1}, {"dtype", "f32"}}), "");
  EXPECT_EQ(settings_difference(before, {{"stop", {"y"}}, {"seed", 2}, {"dtype", "f32"}}),
            R"(with stop strings ["x"], and this run has ["y"] (--stop))");
}

TEST(RunSettings, ASettingIsNamedInWords) {
  EXPECT_EQ(settings_difference({{"batch-tokens", 1}}, {{"batch-tokens", 2}}),
            "with batch tokens 1, and this run has 2 (--batch-tokens)");
  EXPECT_EQ(settings_difference({{"lr", 1}}, {{"lr", 2}}),
            "with learning rate 1, and this run has 2 (--lr)");
}

TEST(RunSettings, WhatIsTooLongToBeReadIsAnother) {
  const std::string digest(64, 'a');
  EXPECT_EQ(settings_difference({{"store", ""}}, {{"store", digest}}),
            "with another store (--store)");
  EXPECT_EQ(settings_difference({{"store", digest}}, {{"store", ""}}),
            "with another store (--store)");
}

TEST(RunSettings, WhatIsNullWasNotGiven) {
  EXPECT_EQ(settings_difference(nlohmann::json::object(), {{"ignore-tensors", nullptr}}), "");
  EXPECT_EQ(settings_difference({{"ignore-tensors", {"a"}}}, {{"ignore-tensors", nullptr}}),
            R"(with ignored tensors ["a"], and this run has nothing (--ignore-tensors))");
  EXPECT_EQ(setting_of_names({}), ordered_json());
  EXPECT_EQ(setting_of_names({"a", "b"}), ordered_json({"a", "b"}));
}

}  // namespace
}  // namespace gist
