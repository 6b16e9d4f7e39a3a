#include "plugins/host/running_callback.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <string>

namespace gist {
namespace {

std::string text() {
  return running_callback().data();
}

TEST(RunningCallback, IsTheInnermostOfThoseThatRun) {
  EXPECT_EQ(text(), "");
  {
    const RunningCallback outer("family 'x' of /lib/x.so", "configure");
    EXPECT_EQ(text(), "family 'x' of /lib/x.so, configure");
    {
      const RunningCallback inner("family 'y' of /lib/y.so", "layer", 12);
      EXPECT_EQ(text(), "family 'y' of /lib/y.so, layer 12");
    }
    EXPECT_EQ(text(), "family 'x' of /lib/x.so, configure");
  }
  EXPECT_EQ(text(), "");
}

TEST(RunningCallback, IsCutWhereItIsTooLong) {
  const std::string name(2000, 'x');
  const RunningCallback running(name.c_str(), "layer", 1);
  EXPECT_EQ(text(), name.substr(0, 511));
}

/// Ends this process as a plugin's layer would.
template <typename Action>
void in_callback(const Action& action) {
  report_deaths_in_callbacks(69);
  const RunningCallback running("family 'x' of /lib/x.so", "layer", 3);
  action();
}

/// What is said, as matchers: regular expressions would be those of Oniguruma's regcomp here.
auto says(const char* what) {
  return testing::AllOf(testing::HasSubstr("gist: family 'x' of /lib/x.so, layer 3: "),
                        testing::HasSubstr(what));
}

TEST(RunningCallbackDeathTest, SaysWhatRanWhenAPluginEndsTheProcess) {
  const auto exits = testing::ExitedWithCode(69);
  EXPECT_EXIT(in_callback([] { std::raise(SIGSEGV); }), exits, says("SIGSEGV"));
  EXPECT_EXIT(in_callback([] { std::raise(SIGFPE); }), exits, says("SIGFPE"));
  EXPECT_EXIT(in_callback([] { std::abort(); }), exits, says("SIGABRT"));
  EXPECT_EXIT(in_callback([] { std::exit(0); }), exits, says("it ended the program by exit"));
  EXPECT_EXIT(in_callback([] { std::quick_exit(0); }), exits, says("it ended the program by exit"));
  EXPECT_EXIT(in_callback([] { report_exit_at_once(); }), exits,
              says("it ended the program by _exit"));
}

TEST(RunningCallbackDeathTest, LeavesTheHostsOwnFaultsAlone) {
  EXPECT_DEATH(in_callback([] {
                 const HostOperation host;
                 std::raise(SIGFPE);
               }),
               testing::Not(testing::HasSubstr("layer 3")));
  EXPECT_EXIT(
      {
        report_deaths_in_callbacks(69);
        std::exit(0);
      },
      testing::ExitedWithCode(0), testing::HasSubstr(""));
}

}  // namespace
}  // namespace gist
