#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/model_options.h"

namespace gist {
namespace {

/// Variables with these values, and those that there were at the end.
class Variables {
 public:
  Variables(const char* data, const char* home) {
    ::setenv("XDG_DATA_HOME", data, 1);
    ::setenv("HOME", home, 1);
  }
  Variables(const Variables&) = delete;
  Variables& operator=(const Variables&) = delete;
  ~Variables() {
    restore("XDG_DATA_HOME", data_);
    restore("HOME", home_);
  }

 private:
  static std::optional<std::string> value_of(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  }
  static void restore(const char* name, const std::optional<std::string>& value) {
    if (value) {
      ::setenv(name, value->c_str(), 1);
    } else {
      ::unsetenv(name);
    }
  }
  std::optional<std::string> data_ = value_of("XDG_DATA_HOME");
  std::optional<std::string> home_ = value_of("HOME");
};

PluginSearch search_of(const std::vector<std::string>& arguments) {
  const CommandSpec command{"test", "", "", "", model_options()};
  return plugin_search(Options(command, arguments));
}

TEST(PluginSearch, HasTheOptionsValuesInTheirOrder) {
  const PluginSearch search = search_of({"--plugin-path", "/a:/b", "--plugin-path", "/c"});
  EXPECT_EQ(search.first, (std::vector<std::string>{"/a:/b", "/c"}));
}

TEST(PluginSearch, HasTheUsersDataDirectory) {
  const Variables variables("/data", "/home");
  EXPECT_EQ(search_of({}).user_data, "/data");
}

TEST(PluginSearch, TakesTheHomeDirectoryWhereXdgDataHomeIsNoAbsolutePath) {
  const Variables variables("relative", "/nowhere");
  EXPECT_EQ(search_of({}).user_data, "/nowhere/.local/share");
}

TEST(PluginSearch, HasNoDataDirectoryWithoutAHome) {
  const Variables variables("", "");
  EXPECT_EQ(search_of({}).user_data, "");
}

}  // namespace
}  // namespace gist
