#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <map>

#include "gist/plugin.h"
#include "plugins/host/plugin_host.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

std::map<std::string, std::string> results(const std::filesystem::path& library,
                                           const PluginCheckOptions& options = {}) {
  std::map<std::string, std::string> failures;
  for (const PluginCheck& check : check_plugin(library, options)) {
    failures[check.name] = check.failed;
  }
  return failures;
}

/// Returns what `configure` and this check say of the test family with this behaviour.
std::map<std::string, std::string> results_of(
    const std::string& behaviour, const std::string& check = "gist invariant",
    std::chrono::milliseconds limit = std::chrono::seconds(60)) {
  const Sandbox sandbox;
  return results(
      sandbox.plugin("misbehaving", {{"check", {{"misbehaving", {{"behaviour", behaviour}}}}}}),
      {.limit = limit, .only = {"configure", check}});
}

TEST(CheckPlugin, PassesASoundFamily) {
  const Sandbox sandbox;
  for (const auto& [name, failed] : results(sandbox.plugin("misbehaving"))) {
    EXPECT_EQ(failed, "") << name;
  }
}

TEST(CheckPlugin, FindsStateBetweenCalls) {
  EXPECT_THAT(results_of("remember calls")["gist invariant"],
              HasSubstr("differ from the full pass"));
}

TEST(CheckPlugin, SurvivesACrash) {
  // Under a sanitizer a crash is an exit, with its report on standard error.
  const auto died = testing::AnyOf(HasSubstr("was killed by signal"), HasSubstr("exited with"));
  EXPECT_THAT(results_of("crash in layer")["gist invariant"], died);
  EXPECT_THAT(results_of("crash in configure")["configure"], died);
}

TEST(CheckPlugin, EndsWhatHangs) {
  EXPECT_THAT(
      results_of("hang in layer", "gist invariant", std::chrono::seconds(3))["gist invariant"],
      HasSubstr("didn't end within 3 s"));
}

TEST(CheckPlugin, EndsWhatThePluginStarted) {
  // The children that it leaves inherit the report's pipe, and this one: it is closed when they
  // end.
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  EXPECT_EQ(results_of("leave a child in layer")["gist invariant"], "");
  ::close(ends[1]);
  pollfd closed{ends[0], POLLIN, 0};
  EXPECT_EQ(::poll(&closed, 1, 10'000), 1);
  ::close(ends[0]);
}

TEST(CheckPlugin, NoticesAnExit) {
  EXPECT_THAT(results_of("exit in layer")["gist invariant"], HasSubstr("ended the process"));
}

TEST(CheckPlugin, ReportsWhatTheFamilyThrows) {
  EXPECT_THAT(results_of("throw in layer")["gist invariant"], HasSubstr("out of order"));
  EXPECT_THAT(results_of("throw in configure")["configure"], HasSubstr("good enough"));
}

TEST(CheckPlugin, NeedsAManifest) {
  const Sandbox sandbox;
  const auto found = results(sandbox.library("misbehaving"));
  EXPECT_EQ(found.size(), 2U);
  EXPECT_THAT(found.at("manifest"), HasSubstr("misbehaving.gist.json: missing"));
  EXPECT_EQ(found.at("abi"), "");
}

TEST(CheckPlugin, NeedsAConfigurationForEachFamily) {
  const Sandbox sandbox;
  const auto found = results(sandbox.plugin("misbehaving", {{"check", nlohmann::json::object()}}));
  EXPECT_THAT(found.at("manifest"), HasSubstr("no configuration for the family 'misbehaving'"));
}

TEST(CheckPlugin, ComparesManifestAndLibrary) {
  const Sandbox sandbox;
  EXPECT_THAT(results(sandbox.plugin("wrong_abi")).at("abi"),
              HasSubstr(fmt::format("ABI 9.{}", GIST_ABI_MINOR)));
  EXPECT_THAT(results(sandbox.plugin("misbehaving", {{"architectures", {"A"}}})).at("abi"),
              HasSubstr("its manifest says A"));
}

TEST(CheckPlugin, RefusesAMissingLibrary) {
  EXPECT_THAT(error_of(ErrorKind::no_input, [] { check_plugin("/nowhere/x.so"); }),
              HasSubstr("/nowhere/x.so"));
}

}  // namespace
}  // namespace gist
