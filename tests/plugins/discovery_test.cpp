#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gist/plugin.h"
#include "plugins/host/plugin_host.h"
#include "plugins/sdk/gist/plugin.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

std::vector<PluginEntry> found_in(std::initializer_list<const Sandbox*> sandboxes) {
  std::vector<PluginDirectory> directories;
  for (const Sandbox* sandbox : sandboxes) {
    directories.push_back({sandbox->path(), "--plugin-path", ""});
  }
  return find_plugins(directories);
}

TEST(PluginDirectories, AreOptionThenVariableThenUserThenInstalled) {
  const Sandbox option, second, variable, user;
  std::filesystem::create_directories(user.path() / "gist/plugins");
  const std::vector<PluginDirectory> directories =
      plugin_directories({.first = {option.path().string() + ":" + second.path().string()},
                          .variable = variable.path().string(),
                          .user_data = user.path()});
  ASSERT_GE(directories.size(), 5U);
  EXPECT_EQ(directories[0].path, option.path());
  EXPECT_EQ(directories[0].origin, "--plugin-path");
  EXPECT_EQ(directories[1].path, second.path());
  EXPECT_EQ(directories[2].path, variable.path());
  EXPECT_EQ(directories[2].origin, "GIST_PLUGIN_PATH");
  EXPECT_EQ(directories[3].path, user.path() / "gist/plugins");
  EXPECT_EQ(directories[3].origin, "user");
  EXPECT_EQ(directories[4].origin, "installed");
  for (int i = 0; i < 4; ++i) EXPECT_EQ(directories[static_cast<std::size_t>(i)].ignored, "");
}

TEST(PluginDirectories, IgnoreEmptyRelativeMissingAndRepeatedEntries) {
  const Sandbox sandbox;
  const std::string here = sandbox.path().string();
  const std::string file = sandbox.write("file", "").string();
  const std::vector<PluginDirectory> directories = plugin_directories(
      {.first = {":plugins:" + here + ":" + here + "/none:" + file + ":" + here + "/"}});
  std::vector<std::string> ignored;
  for (const PluginDirectory& directory : directories) {
    if (directory.origin == "--plugin-path") ignored.push_back(directory.ignored);
  }
  EXPECT_THAT(ignored, ElementsAre("empty", "relative path", "", "does not exist",
                                   "not a directory", "searched already"));
}

TEST(PluginDirectories, HoldThePluginsOfTheBuildTree) {
  std::vector<std::string> families;
  for (const PluginEntry& entry : find_plugins(plugin_directories({}))) {
    if (entry.refused.empty()) {
      families.insert(families.end(), entry.families.begin(), entry.families.end());
    }
  }
  EXPECT_THAT(families, testing::Contains("llama"));
}

TEST(FindPlugins, ReadsManifestsWithoutLoadingTheLibrary) {
  const Sandbox sandbox;
  const auto library = sandbox.plugin("misbehaving");
  sandbox.write("misbehaving.so", "not a library");
  const std::vector<PluginEntry> entries = found_in({&sandbox});
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_EQ(entries[0].name, "misbehaving");
  EXPECT_EQ(entries[0].library, library);
  EXPECT_EQ(entries[0].abi_major, GIST_ABI_MAJOR);
  EXPECT_EQ(entries[0].abi_minor, GIST_ABI_MINOR);
  EXPECT_THAT(entries[0].families, ElementsAre("misbehaving"));
  EXPECT_THAT(entries[0].architectures, ElementsAre("MisbehavingForCausalLM"));
  EXPECT_EQ(entries[0].refused, "");
}

TEST(FindPlugins, GivesAnIdToTheFirstInSearchOrder) {
  const Sandbox first, second;
  first.plugin("misbehaving");
  second.plugin("misbehaving");
  const std::vector<PluginEntry> entries = found_in({&first, &second});
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[0].refused, "");
  EXPECT_THAT(entries[1].refused, HasSubstr("'misbehaving' is served by"));
  EXPECT_THAT(entries[1].refused, HasSubstr(entries[0].library.string()));
}

TEST(FindPlugins, LetsARefusedPluginTakeNoId) {
  const Sandbox first, second;
  first.plugin("misbehaving", {{"abi", {9, 0}}});
  second.plugin("misbehaving");
  const std::vector<PluginEntry> entries = found_in({&first, &second});
  ASSERT_THAT(entries, SizeIs(2));
  EXPECT_EQ(entries[1].refused, "");
}

TEST(FindPlugins, RefusesAnotherAbiByTheManifest) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving", {{"abi", {GIST_ABI_MAJOR, GIST_ABI_MINOR + 1}}});
  EXPECT_THAT(
      found_in({&sandbox}).at(0).refused,
      HasSubstr(fmt::format("built for plugin ABI {}.{}", GIST_ABI_MAJOR, GIST_ABI_MINOR + 1)));
}

TEST(FindPlugins, RefusesALibraryWithoutManifest) {
  const Sandbox sandbox;
  sandbox.library("misbehaving");
  const std::vector<PluginEntry> entries = found_in({&sandbox});
  ASSERT_THAT(entries, SizeIs(1));
  EXPECT_THAT(entries[0].refused, HasSubstr("no manifest misbehaving.gist.json"));
}

TEST(FindPlugins, RefusesAManifestWithoutLibrary) {
  const Sandbox sandbox;
  std::filesystem::remove(sandbox.plugin("misbehaving"));
  EXPECT_THAT(found_in({&sandbox}).at(0).refused, HasSubstr("misbehaving.so is missing"));
}

TEST(FindPlugins, RefusesBrokenManifests) {
  const auto refused = [](const std::string& key, const nlohmann::json& value) {
    const Sandbox sandbox;
    sandbox.plugin("misbehaving", {{key, value}});
    const std::vector<PluginEntry> entries = found_in({&sandbox});
    return entries.size() == 1 ? entries[0].refused : "other than one entry";
  };
  EXPECT_THAT(refused("library", "../misbehaving.so"), HasSubstr("found \"../misbehaving.so\""));
  EXPECT_THAT(refused("library", nullptr), HasSubstr("\"library\": expected a string"));
  EXPECT_THAT(refused("abi", "0.1"), HasSubstr("\"abi\": expected [major, minor]"));
  EXPECT_THAT(refused("abi", {0, -1}), HasSubstr("\"abi\": expected [major, minor]"));
  EXPECT_THAT(refused("families", nlohmann::json::array()), HasSubstr("\"families\": expected"));
  EXPECT_THAT(refused("architectures", {1}), HasSubstr("\"architectures\": expected"));
  EXPECT_THAT(refused("check", 3), HasSubstr("\"check\": expected an object"));
  const Sandbox sandbox;
  sandbox.write("broken.gist.json", "{");
  EXPECT_THAT(found_in({&sandbox}).at(0).refused, HasSubstr("not valid JSON"));
}

TEST(FindPlugins, FindsNothingInAnIgnoredDirectory) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  EXPECT_THAT(find_plugins({{sandbox.path(), "--plugin-path", "relative path"}}), IsEmpty());
}

}  // namespace
}  // namespace gist
