#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdio.h>

#include <array>
#include <memory>

#include "gist/plugin.h"
#include "plugins/host/loader.h"
#include "plugins/host/plugin_family.h"
#include "tests/plugins/sandbox.h"

namespace gist {
namespace {

using testing::HasSubstr;

std::string refusal(const std::filesystem::path& library) {
  return error_of(ErrorKind::unavailable, [&] { load_plugin(library); });
}

TEST(LoadPlugin, RefusesAMissingFile) {
  EXPECT_THAT(refusal("/nowhere/llama.so"), HasSubstr("No such file"));
}

TEST(LoadPlugin, RefusesAFileThatIsNoLibrary) {
  const Sandbox sandbox;
  EXPECT_THAT(refusal(sandbox.write("text.so", "hello, I am a text file")),
              testing::AllOf(HasSubstr("text.so"), HasSubstr("can't be loaded")));
}

TEST(LoadPlugin, RefusesALibraryWithoutTheSymbol) {
  const Sandbox sandbox;
  EXPECT_THAT(refusal(sandbox.library("no_symbol")), HasSubstr("doesn't export the symbol"));
}

TEST(LoadPlugin, NamesAnUndefinedSymbol) {
  const Sandbox sandbox;
  EXPECT_THAT(refusal(sandbox.library("undefined_symbol")),
              HasSubstr("gist_test_symbol_that_nobody_defines"));
}

TEST(LoadPlugin, RefusesAnotherAbiInTheSymbol) {
  const Sandbox sandbox;
  EXPECT_THAT(refusal(sandbox.plugin("wrong_abi")),
              HasSubstr(fmt::format("built for plugin ABI 9.{}", GIST_ABI_MINOR)));
}

TEST(LoadPlugin, ReadsFamiliesAndArchitectures) {
  const LoadedPlugin plugin = load_plugin(GIST_LLAMA);
  EXPECT_EQ(plugin.name, "llama");
  ASSERT_EQ(plugin.families.size(), 1U);
  EXPECT_EQ(plugin.families[0].id, "llama");
  EXPECT_THAT(plugin.families[0].architectures, testing::ElementsAre("LlamaForCausalLM"));
}

int positions(const LoadedPlugin& plugin) {
  return configure_family(plugin, plugin.families[0], nlohmann::json::object(), "A", "config")
      ->spec()
      .max_positions;
}

TEST(LoadPlugin, KeepsInlineVariablesOfTwoPluginsApart) {
  const Sandbox sandbox;
  const LoadedPlugin a = load_plugin(sandbox.library("counting_a"));
  const LoadedPlugin b = load_plugin(sandbox.library("counting_b"));
  EXPECT_EQ(positions(a), 2);
  EXPECT_EQ(positions(a), 4);
  EXPECT_EQ(positions(b), 2);
}

TEST(LlamaPlugin, ExportsTheOneSymbolAlone) {
  const std::string command = GIST_NM " -D --defined-only --format=just-symbols " GIST_LLAMA;
  const std::unique_ptr<FILE, int (*)(FILE*)> output(::popen(command.c_str(), "r"), ::pclose);
  ASSERT_NE(output, nullptr);
  std::array<char, 4096> text{};
  const std::size_t length = ::fread(text.data(), 1, text.size(), output.get());
  EXPECT_EQ(std::string(text.data(), length), "gist_plugin\n");
}

gist_status configure(const gist_config_host*, const gist_config*, gist_model*) {
  return GIST_OK;
}
void destroy(void*) {}
gist_tensor enter(void*, const gist_ops*, gist_pass*, std::int32_t) {
  return 0;
}
gist_tensor layer(void*, const gist_ops*, gist_pass*, std::int32_t, std::int32_t, gist_tensor) {
  return 0;
}
gist_tensor leave(void*, const gist_ops*, gist_pass*, std::int32_t, gist_tensor) {
  return 0;
}

constexpr const char* architectures[] = {"A"};

gist_family sound_family() {
  return {sizeof(gist_family), 1, "family", architectures, configure, destroy, enter, layer, leave};
}

/// Returns what is said of a plugin whose tables `spoil` has changed.
template <typename Spoil>
std::string spoiled_plugin(const Spoil& spoil) {
  gist_family families[] = {sound_family(), sound_family()};
  families[1].id = "other";
  gist_plugin_info info = {GIST_PLUGIN_MAGIC,
                           GIST_ABI_MAJOR,
                           GIST_ABI_MINOR,
                           sizeof(gist_plugin_info),
                           2,
                           families,
                           "name",
                           "1"};
  spoil(info, families);
  return error_of(ErrorKind::unavailable, [&] { read_plugin(&info, "x.so"); });
}

TEST(ReadPlugin, TakesASoundTable) {
  EXPECT_EQ(spoiled_plugin([](auto&, auto&) {}), "no error");
}

TEST(ReadPlugin, BelievesNothingUnchecked) {
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.magic = 1; }),
              HasSubstr("not a gist plugin"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.abi_minor = 9; }), HasSubstr("ABI 1.9"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.size = 12; }), HasSubstr("12 bytes"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.size = 1 << 30; }), HasSubstr("bytes"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.name = nullptr; }),
              HasSubstr("name is null"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.version = ""; }),
              HasSubstr("version is empty"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.families = nullptr; }),
              HasSubstr("0 families"));
  EXPECT_THAT(spoiled_plugin([](auto& info, auto&) { info.n_families = 1U << 31; }),
              HasSubstr("2147483648 families"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[0].size = 3; }),
              HasSubstr("3 bytes"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[1].id = nullptr; }),
              HasSubstr("id of family 1 is null"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[1].id = "family"; }),
              HasSubstr("two of its families"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[0].id = "../x"; }),
              HasSubstr("characters beyond"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[0].n_architectures = 0; }),
              HasSubstr("0 architectures"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[0].architectures = nullptr; }),
              HasSubstr("0 architectures"));
  EXPECT_THAT(spoiled_plugin([](auto&, auto& families) { families[0].layer = nullptr; }),
              HasSubstr("no callback `layer`"));
}

TEST(ReadPlugin, WalksFamiliesByTheirDeclaredSize) {
  struct Longer {
    gist_family family = sound_family();
    std::uint64_t added_later = 0;
  } families[2];
  for (Longer& longer : families) longer.family.size = sizeof(Longer);
  families[1].family.id = "other";
  const gist_plugin_info info = {GIST_PLUGIN_MAGIC,
                                 GIST_ABI_MAJOR,
                                 GIST_ABI_MINOR,
                                 sizeof(gist_plugin_info),
                                 2,
                                 &families[0].family,
                                 "name",
                                 "1"};
  EXPECT_EQ(read_plugin(&info, "x.so").families.at(1).id, "other");
}

}  // namespace
}  // namespace gist
