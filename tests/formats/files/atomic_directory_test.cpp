#include "formats/files/atomic_directory.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

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
  /// Returns what a killed process leaves.
  std::filesystem::path left() {
    const std::filesystem::path workspace = path_.string() + ".tmp-fedcba9876543210";
    std::filesystem::create_directory(workspace);
    write_file(workspace / "unfinished-by-gist", "");
    return workspace;
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
  EXPECT_TRUE(directory.path().string().starts_with(path_.string() + ".tmp-"));
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
  make(left() / "new", "half");
  // Killed before it had its mark.
  std::filesystem::create_directory(path_.string() + ".tmp-fedcba9876543210");
  { const AtomicDirectory directory(path_); }
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(content(), "whole");
}

TEST_F(AtomicDirectoryTest, LeavesAloneWhatIsOfOthers) {
  for (const std::string name : {"", "1", "1x", "0123456789abcdef"}) {
    make(path_.string() + ".tmp-" + name, "a user's");  // without gist's mark
  }
  const AtomicDirectory living(path_);
  { const AtomicDirectory directory(path_); }
  EXPECT_EQ(names().size(), 5U);
}

TEST_F(AtomicDirectoryTest, PutsBackTheOnlyCopyThatAKilledProcessMovedAside) {
  make(left() / "old", "old");
  { const AtomicDirectory directory(path_); }
  EXPECT_THAT(names(), ElementsAre("model"));
  EXPECT_EQ(content(), "old");
}

TEST_F(AtomicDirectoryTest, NeedsAPlaceToStand) {
  expect_error(ErrorKind::cannot_create, "can't be created",
               [&] { const AtomicDirectory directory(directory_ / "none/model"); });
}

}  // namespace
}  // namespace gist
