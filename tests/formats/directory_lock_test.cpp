#include "formats/directory_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

TEST(DirectoryLock, IsHeldByOneAtATime) {
  const TemporaryDirectory directory;
  const auto lock = [&] { const DirectoryLock second(directory.path()); };
  {
    const DirectoryLock first(directory.path());
    expect_error(ErrorKind::busy, directory.path().string() + ": another gist train holds it",
                 lock);
    expect_error(ErrorKind::busy, "(process " + std::to_string(::getpid()) + ")", lock);
  }
  EXPECT_FALSE(error_of(lock));
}

TEST(DirectoryLock, EndsWithItsProcess) {
  const TemporaryDirectory directory;
  const pid_t child = ::fork();
  if (child == 0) {
    const DirectoryLock held(directory.path());
    ::_exit(0);  // without its destructor
  }
  ::waitpid(child, nullptr, 0);
  EXPECT_FALSE(error_of([&] { const DirectoryLock lock(directory.path()); }));
}

TEST(DirectoryLock, NeedsADirectory) {
  const TemporaryDirectory directory;
  write_file(directory / "file", "");
  for (const char* name : {"none", "file"}) {
    expect_error(ErrorKind::no_input, name, [&] { const DirectoryLock lock(directory / name); });
  }
}

}  // namespace
}  // namespace gist
