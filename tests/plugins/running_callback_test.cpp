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

TEST(RunningCallbackDeathTest, SaysWhatRanWhenAPluginEndsTheProcess) {
  const auto exits = testing::ExitedWithCode(69);
  EXPECT_EXIT(in_callback([] { std::raise(SIGSEGV); }), exits,
              "gist: family 'x' of /lib/x.so, layer 3: .*SIGSEGV");
  EXPECT_EXIT(in_callback([] { std::raise(SIGFPE); }), exits, "layer 3: .*SIGFPE");
  EXPECT_EXIT(in_callback([] { std::abort(); }), exits, "layer 3: .*SIGABRT");
  EXPECT_EXIT(in_callback([] { std::exit(0); }), exits, "layer 3: it ended the program by exit");
  EXPECT_EXIT(in_callback([] { std::quick_exit(0); }), exits,
              "layer 3: it ended the program by exit");
  EXPECT_EXIT(in_callback([] { report_exit_at_once(); }), exits,
              "layer 3: it ended the program by _exit");
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
      testing::ExitedWithCode(0), testing::IsEmpty());
}

}  // namespace
}  // namespace gist
