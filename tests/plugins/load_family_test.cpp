#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "plugins/host/plugin_host.h"
#include "plugins/sdk/gist/plugin.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const nlohmann::json sound = {{"architectures", {"MisbehavingForCausalLM"}},
                              {"behaviour", "sound"}};

std::vector<PluginDirectory> directory(const Sandbox& sandbox) {
  return {{sandbox.path(), "--plugin-path", ""}};
}

std::string refusal(const Sandbox& sandbox, const nlohmann::json& config = sound,
                    const std::string& family = "", ErrorKind kind = ErrorKind::unavailable) {
  return error_of(kind, [&] { load_family(directory(sandbox), config, "m/config.json", family); });
}

TEST(LoadFamily, ServesTheArchitecture) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  const auto family = load_family(directory(sandbox), sound, "m/config.json", "");
  EXPECT_EQ(family->spec().family, "misbehaving");
  EXPECT_EQ(family->spec().architecture, "MisbehavingForCausalLM");
}

TEST(LoadFamily, SaysWhatWasSearchedAndWhyEachWasRefused) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving", {{"abi", {9, 1}}});
  sandbox.library("no_symbol");
  EXPECT_THAT(refusal(sandbox),
              AllOf(HasSubstr("m/config.json: no plugin serves MisbehavingForCausalLM"),
                    HasSubstr("searched " + sandbox.path().string() + " (--plugin-path)"),
                    HasSubstr("misbehaving.so: it is built for plugin ABI 9.1"),
                    HasSubstr("no_symbol.so: it has no manifest no_symbol.gist.json")));
}

TEST(LoadFamily, ListsDirectoriesThatWereNotSearched) {
  EXPECT_THAT(
      error_of(ErrorKind::unavailable,
               [] {
                 load_family({{"plugins", "--plugin-path", "relative path"}}, sound, "c", "");
               }),
      HasSubstr("plugins (--plugin-path; not searched: relative path)"));
}

TEST(LoadFamily, NamesBothFamiliesOfOneArchitectureUnlessOneIsAskedFor) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  sandbox.plugin("counting_a");
  EXPECT_THAT(refusal(sandbox), AllOf(HasSubstr("counting_a (" + sandbox.path().string()),
                                      HasSubstr("misbehaving ("), HasSubstr("--family")));
  EXPECT_EQ(load_family(directory(sandbox), sound, "c", "misbehaving")->spec().family,
            "misbehaving");
}

TEST(LoadFamily, TakesTheDirectoryThatIsSearchedFirstAndSaysSo) {
  const Sandbox own, installed;
  own.plugin("counting_a", {{"architectures", {"MisbehavingForCausalLM"}}});
  installed.plugin("misbehaving");
  const std::vector<PluginDirectory> both = {{own.path(), "user", ""},
                                             {installed.path(), "installed", ""}};
  const auto serving = [&](const std::string& family) {
    return load_family(both, sound, "c", family)->spec();
  };
  const ModelSpec spec = serving("");
  EXPECT_EQ(spec.family, "counting_a");
  EXPECT_THAT(spec.warnings, testing::Contains(AllOf(
                                 HasSubstr((own.path() / "counting_a.so").string() +
                                           " serves MisbehavingForCausalLM, as it comes before"),
                                 HasSubstr((installed.path() / "misbehaving.so").string()))));
  EXPECT_EQ(serving("misbehaving").family, "misbehaving");
  EXPECT_THAT(serving("misbehaving").warnings, testing::IsEmpty());
}

TEST(LoadFamily, GoesOnWhereAFamilyDeclines) {
  const Sandbox own, installed;
  own.plugin("misbehaving");
  installed.plugin("counting_a");
  const std::vector<PluginDirectory> both = {{own.path(), "user", ""},
                                             {installed.path(), "installed", ""}};
  const nlohmann::json declined = {{"architectures", {"MisbehavingForCausalLM"}},
                                   {"behaviour", "decline"}};
  EXPECT_EQ(load_family(both, declined, "c", "")->spec().family, "counting_a");
  EXPECT_THAT(refusal(own, declined),
              AllOf(HasSubstr("no plugin serves MisbehavingForCausalLM"),
                    HasSubstr("misbehaving.so declines: this configuration is another family's")));
}

// So that a plugin that an update left behind in the user's directory doesn't end each command.
TEST(LoadFamily, GoesOnWhereALibraryCannotBeLoadedAndSaysSo) {
  struct Case {
    const char* module;  // the user's
    nlohmann::json manifest;
    const char* reason;
  };
  const Case cases[] = {
      {"undefined_symbol", {{"families", {"misbehaving"}}}, "gist_test_symbol_that_nobody_defines"},
      {"wrong_abi", {{"abi", {GIST_ABI_MAJOR, GIST_ABI_MINOR}}}, "ABI"},
      {"counting_a", {{"families", {"other"}}}, "its families are counting_a"},
      {"counting_a", {{"abi", {99, 0}}}, "it is built for plugin ABI 99.0"}};
  for (const Case& each : cases) {
    const Sandbox own, installed;
    own.plugin(each.module, each.manifest);
    installed.plugin("misbehaving");
    const std::vector<PluginDirectory> both = {{own.path(), "user", ""},
                                               {installed.path(), "installed", ""}};
    const ModelSpec spec = load_family(both, sound, "c", "")->spec();
    EXPECT_EQ(spec.family, "misbehaving");
    const std::string broken = (own.path() / each.module).string() + ".so";
    EXPECT_THAT(spec.warnings,
                testing::ElementsAre(
                    AllOf(testing::StartsWith((installed.path() / "misbehaving.so").string() +
                                              " serves MisbehavingForCausalLM, as " + broken +
                                              " can't be used: "),
                          HasSubstr(each.reason), testing::Not(HasSubstr("\n")))));
  }
}

TEST(LoadFamily, KeepsToAPluginThatWasAskedFor) {
  const Sandbox own, installed;
  own.plugin("undefined_symbol");
  installed.plugin("misbehaving");
  const auto failure = [&](const char* origin, const std::string& family) {
    return error_of(ErrorKind::unavailable, [&] {
      load_family({{own.path(), origin, ""}, {installed.path(), "installed", ""}}, sound, "c",
                  family);
    });
  };
  const auto names_it = HasSubstr((own.path() / "undefined_symbol.so").string() + ": can't be");
  EXPECT_THAT(failure("user", "undefined_symbol"), names_it);
  EXPECT_THAT(failure(first_origin, ""), names_it);
  EXPECT_EQ(failure("GIST_PLUGIN_PATH", ""), "no error");
}

TEST(LoadFamily, KeepsWhatAFamilyWarnsOfAndWhatItNeverRead) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  const nlohmann::json config = {{"architectures", {"MisbehavingForCausalLM"}},
                                 {"behaviour", "warn"},
                                 {"use_cache", true},
                                 {"rope_spiral", 3}};
  EXPECT_THAT(
      load_family(directory(sandbox), config, "c", "")->spec().warnings,
      testing::ElementsAre("c: a line\\nof two",
                           HasSubstr("c: family 'misbehaving' doesn't read rope_spiral: ")));
}

// A library that was built once, when the ABI got its first stable version: it is taken ever after.
TEST(LoadFamily, TakesALibraryOfTheFirstVersion) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the library is built for x86-64";
#endif
  const std::filesystem::path built = std::filesystem::path(GIST_FIXTURES) / "plugins";
  const std::vector<PluginDirectory> there = {{built, "--plugin-path", ""}};
  const auto spec = [&](int layers) {
    return load_family(there, {{"architectures", {"FirstForCausalLM"}}, {"layers", layers}}, "c",
                       "")
        ->spec();
  };
  EXPECT_EQ(spec(2).stacks.at(0).window, 3);
  EXPECT_THAT(spec(2).warnings, testing::IsEmpty());
  EXPECT_THAT(spec(3).warnings, testing::ElementsAre("c: 3 layers are asked for, but there are 2"));
  EXPECT_THAT(error_of(ErrorKind::unavailable, [&] { spec(99); }),
              HasSubstr("99 layers are another family's"));
  for (const PluginCheck& check : check_plugin(built / "first_abi.x86_64.so")) {
    if (check.name == "config keys") continue;  // it has two layers, whatever is asked for
    EXPECT_EQ(check.failed, "") << check.name;
  }
}

TEST(LoadFamily, RefusesAnUnknownFamily) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  EXPECT_THAT(refusal(sandbox, sound, "llama"),
              HasSubstr("no plugin with a family 'llama' serves"));
}

TEST(LoadFamily, RefusesALibraryThatLiesInItsManifest) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving", {{"families", {"other"}}});
  EXPECT_THAT(refusal(sandbox),
              HasSubstr("its families are misbehaving, but its manifest says other"));
}

TEST(LoadFamily, SaysWhyALibraryCannotBeLoaded) {
  const Sandbox sandbox;
  sandbox.plugin("undefined_symbol");
  EXPECT_THAT(refusal(sandbox), HasSubstr("gist_test_symbol_that_nobody_defines"));
}

TEST(LoadFamily, GoesByTheModelTypeWhereNoArchitectureIsNamed) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  for (const nlohmann::json& none : {nlohmann::json(), nlohmann::json("absent")}) {
    nlohmann::json config = {{"model_type", "misbehaving"}, {"behaviour", "sound"}};
    if (none.is_null()) config["architectures"] = none;
    EXPECT_EQ(load_family(directory(sandbox), config, "c", "")->spec().architecture,
              "MisbehavingForCausalLM");
  }
  EXPECT_THAT(refusal(sandbox, {{"model_type", "gpt2"}}),
              HasSubstr("no plugin serves \"model_type\" \"gpt2\": this gist can use "
                        "MisbehavingForCausalLM"));
}

TEST(LoadFamily, SaysWhatCanBeUsedInstead) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  EXPECT_THAT(refusal(sandbox, {{"architectures", {"GPT2LMHeadModel"}}}),
              HasSubstr("no plugin serves GPT2LMHeadModel: this gist can use "
                        "MisbehavingForCausalLM"));
}

TEST(LoadFamily, DemandsArchitectures) {
  const Sandbox sandbox;
  sandbox.plugin("misbehaving");
  EXPECT_THAT(refusal(sandbox, nlohmann::json::object(), "", ErrorKind::data),
              HasSubstr("has no \"architectures\""));
  EXPECT_THAT(refusal(sandbox, {{"architectures", "Llama"}}, "", ErrorKind::data),
              HasSubstr("found \"Llama\""));
  EXPECT_THAT(refusal(sandbox, 3, "", ErrorKind::data), HasSubstr("has no \"architectures\""));
}

}  // namespace
}  // namespace gist
