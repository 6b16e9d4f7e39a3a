#include "cli/line_writer.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <string>

namespace gist {
namespace {

/// Returns what stands at the other end after `text` was written to a descriptor, at most 4 KiB.
std::string read_back(int from, int to, std::string_view text) {
  LineWriter writer(to, "it");
  writer.line(text);
  writer.flush();
  std::array<char, 4096> read;
  const ssize_t count = ::read(from, read.data(), read.size());
  ::close(from);
  ::close(to);
  return {read.data(), static_cast<std::size_t>(count)};
}

TEST(LineWriter, CantBeUsedToSteerATerminal) {
  int from = -1, to = -1;
  ASSERT_EQ(::openpty(&from, &to, nullptr, nullptr, nullptr), 0);
  termios raw{};
  ::tcgetattr(to, &raw);
  ::cfmakeraw(&raw);
  ::tcsetattr(to, TCSANOW, &raw);
  EXPECT_EQ(read_back(from, to, "a\tb\n\x1b[2J \xC2\x9B\x32J \u202E"),
            "a\tb\n\\u001b[2J \\u009b2J \\u202e\n");
}

TEST(LineWriter, WritesBytesAsTheyAreElsewhere) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  EXPECT_EQ(read_back(ends[0], ends[1], "\x1b[2J \xC2\x9B\xFF"), "\x1b[2J \xC2\x9B\xFF\n");
}

}  // namespace
}  // namespace gist
