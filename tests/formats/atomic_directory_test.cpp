#include "formats/atomic_directory.h"

#include <sys/wait.h>
#include <unistd.h>

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Existing = AtomicDirectory::Existing;

/// The id of a process that is gone.
std::string gone() {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return std::to_string(child);
}

class AtomicDirectoryTest : public ::testing::Test {
 protected:
  void make(const std::filesystem::path& path, const std::string& content) {
    std::filesystem::create_directories(path / "sub");
    write_file(path / "sub" / "file", content);
  }
  void write(Existing existing, const std::string& content) {
    AtomicDirectory directory(path_, existing);
    make(directory.path(), content);
    directory.commit();
  }
  std::string content() { return content_of(path_ / "sub" / "file"); }
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }
  const TemporaryDirectory directory_;
  const std::filesystem::path path_ = directory_ / "model";
};

TEST_F(AtomicDirectoryTest, AppearsWithCommit) {
  AtomicDirectory directory(path_);
  EXPECT_EQ(directory.path(), path_.string() + ".tmp-" + std::to_string(::getpid()));
  make(directory.path(), "new");
  EXPECT_FALSE(std::filesystem::exists(path_));
  directory.commit();
  EXPECT_EQ(content(), "new");
  EXPECT_THAT(names(), ElementsAre("model"));
}

TEST_F(AtomicDirectoryTest, LeavesNothingWithoutCommit) {
  {
    const AtomicDirectory directory(path_);
    make(directory.path(), "new");
  }
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(AtomicDirectoryTest, MayBeNamedWithASlashAtTheEnd) {
  AtomicDirectory directory(path_ / "");
  make(directory.path(), "new");
  directory.commit();
  EXPECT_THAT(names(), ElementsAre("model"));
}

TEST_F(AtomicDirectoryTest, ReplacesOnlyWhatItIsToldTo) {
  make(path_, "old");
  expect_error(ErrorKind::cannot_create, "model exists", [&] { write(Existing::refuse, "new"); });
  EXPECT_EQ(content(), "old");
  EXPECT_THAT(names(), ElementsAre("model"));
  write(Existing::replace, "new");
  EXPECT_EQ(content(), "new");
  EXPECT_THAT(names(), ElementsAre("model"));
}

TEST_F(AtomicDirectoryTest, ALinkIsReplacedAndNotWhatItNames) {
  make(directory_ / "other", "other");
  std::filesystem::create_directory_symlink(directory_ / "other", path_);
  write(Existing::replace, "new");
  EXPECT_FALSE(std::filesystem::is_symlink(path_));
  EXPECT_EQ(content(), "new");
  EXPECT_EQ(content_of(directory_ / "other" / "sub" / "file"), "other");
}

TEST_F(AtomicDirectoryTest, RemovesWhatKilledProcessesLeft) {
  make(path_, "whole");
  make(path_.string() + ".tmp-" + gone(), "half");
  make(path_.string() + ".old-" + gone(), "old");
  make(path_.string() + ".tmp-" + std::to_string(::getpid()), "of the same id");
  { const AtomicDirectory directory(path_); }
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(content(), "whole");
}

TEST_F(AtomicDirectoryTest, LeavesAloneWhatIsOfOthers) {
  const std::string parent = std::to_string(::getppid());
  for (const std::string& name : {".tmp-" + parent, ".old-" + parent, std::string(".tmp-1x")}) {
    make(path_.string() + name, "other");
  }
  { const AtomicDirectory directory(path_); }
  EXPECT_EQ(names().size(), 3U);
}

TEST_F(AtomicDirectoryTest, PutsBackTheOnlyCopyThatAKilledProcessMovedAside) {
  for (const std::string& process : {gone(), std::to_string(::getpid())}) {
    std::filesystem::remove_all(path_);
    make(path_.string() + ".old-" + process, "old");
    { const AtomicDirectory directory(path_); }
    EXPECT_THAT(names(), ElementsAre("model"));
    EXPECT_EQ(content(), "old");
  }
}

TEST_F(AtomicDirectoryTest, NeedsAPlaceToStand) {
  expect_error(ErrorKind::cannot_create, "can't be created",
               [&] { const AtomicDirectory directory(directory_ / "none/model"); });
}

}  // namespace
}  // namespace gist
