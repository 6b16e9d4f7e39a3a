#include "formats/files/output_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

TEST(OutputLock, IsHeldByOneAtATime) {
  const TemporaryDirectory directory;
  for (const auto& [of, output] : {std::pair(&OutputLock::of_directory, directory.path()),
                                   std::pair(&OutputLock::of_file, directory / "store.h5")}) {
    const auto lock = [&of = of, &output = output] { const OutputLock second = of(output); };
    {
      const OutputLock first = of(output);
      expect_error(ErrorKind::busy,
                   output.string() + ": process " + std::to_string(::getpid()) + " works on this",
                   lock);
    }
    EXPECT_FALSE(error_of(lock));
  }
}

TEST(OutputLock, OfAFileLeavesNothing) {
  const TemporaryDirectory directory;
  {
    const OutputLock lock = OutputLock::of_file(directory / "store.h5");
    EXPECT_TRUE(std::filesystem::exists(directory / "store.h5.gist-lock"));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(OutputLock, EndsWithItsProcess) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    const OutputLock held = OutputLock::of_directory(directory.path());
    const OutputLock file = OutputLock::of_file(directory / "store.h5");
    ::_exit(0);  // without their destructors
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(error_of([&] { OutputLock::of_directory(directory.path()); }));
  EXPECT_FALSE(error_of([&] { OutputLock::of_file(directory / "store.h5"); }));
}

/// Runs in a child process: takes the lock when `begin` is closed, answers whether it got it, and
/// holds it until `end` is closed.
[[noreturn]] void compete(const std::filesystem::path& output, int begin, int answer, int end) {
  char ignored = 0;
  ssize_t count = ::read(begin, &ignored, 1);
  std::optional<OutputLock> lock;
  try {
    lock = OutputLock::of_file(output);
  } catch (const Error&) {
  }
  count = ::write(answer, lock ? "y" : "n", 1);
  count = ::read(end, &ignored, 1);
  lock.reset();
  ::_exit(count == 0 ? 0 : 1);
}

TEST(OutputLock, OfManyAtOnceExactlyOneGetsIt) {
  const TemporaryDirectory directory;
  for (int round = 0; round < 30; ++round) {
    int begin[2], answer[2], end[2];
    ASSERT_EQ(::pipe(begin) | ::pipe(answer) | ::pipe(end), 0);
    constexpr std::size_t processes = 4;
    std::vector<pid_t> children;
    while (children.size() < processes) {
      const pid_t child = ::fork();
      if (child == 0) {
        ::close(begin[1]);
        ::close(end[1]);
        compete(directory / "store.h5", begin[0], answer[1], end[0]);
      }
      children.push_back(child);
    }
    ::close(begin[1]);
    std::string answers(processes, ' ');
    for (char& each : answers) ASSERT_EQ(::read(answer[0], &each, 1), 1);
    ::close(end[1]);
    EXPECT_EQ(std::count(answers.begin(), answers.end(), 'y'), 1) << answers;
    for (const pid_t child : children) ::waitpid(child, nullptr, 0);
    for (const int descriptor : {begin[0], answer[0], answer[1], end[0]}) ::close(descriptor);
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(OutputLock, OfADirectoryNeedsOne) {
  const TemporaryDirectory directory;
  write_file(directory / "file", "");
  for (const char* name : {"none", "file"}) {
    expect_error(ErrorKind::no_input, name, [&] { OutputLock::of_directory(directory / name); });
  }
}

TEST(OutputLock, TakesNoFileOfOthers) {
  const TemporaryDirectory directory;
  write_file(directory / "a.gist-lock", "mine");
  write_file(directory / "other", "");
  std::filesystem::create_symlink(directory / "other", directory / "b.gist-lock");
  for (const char* name : {"a", "b"}) {
    expect_error(ErrorKind::cannot_create, "is no lock of gist",
                 [&] { OutputLock::of_file(directory / name); });
  }
  EXPECT_EQ(content_of(directory / "a.gist-lock"), "mine");
  EXPECT_TRUE(std::filesystem::exists(directory / "other"));
}

}  // namespace
}  // namespace gist
