#include "formats/files/file_io.h"

#include "tests/formats/files/file_size_limit.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;

std::size_t entries_in(const TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator entries(directory.path());
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST(AtomicFile, AppearsOnlyOnCommit) {
  const TemporaryDirectory directory;
  AtomicFile file(directory / "a");
  file.write("text");
  EXPECT_FALSE(std::filesystem::exists(directory / "a"));
  file.commit();
  EXPECT_EQ(content_of(directory / "a"), "text");
  EXPECT_EQ(entries_in(directory), 1U);
}

TEST(AtomicFile, LeavesTheOldFileAndNothingElseWithoutCommit) {
  const TemporaryDirectory directory;
  write_file(directory / "a", "old");
  { AtomicFile(directory / "a").write("new"); }
  EXPECT_EQ(content_of(directory / "a"), "old");
  EXPECT_EQ(entries_in(directory), 1U);
}

TEST(AtomicFile, ReportsAFullDiskAndLeavesTheOldFile) {
  const TemporaryDirectory directory;
  write_file(directory / "a", "old");
  {
    const FileSizeLimit limit(1000);
    expect_error(ErrorKind::io, "can't be written",
                 [&] { write_file_atomically(directory / "a", std::string(2000, 'x')); });
  }
  EXPECT_EQ(content_of(directory / "a"), "old");
  EXPECT_EQ(entries_in(directory), 1U);
}

TEST(AtomicFile, RefusesADirectoryThatIsNotThere) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::cannot_create, "absent",
               [&] { write_file_atomically(directory / "absent/a", "text"); });
}

TEST(ReadFile, GivesAllBytes) {
  const TemporaryDirectory directory;
  const std::string content = std::string(3'000'001, 'x') + '\0' + "y";
  write_file(directory / "a", content);
  EXPECT_EQ(read_file(directory / "a"), content);
}

TEST(ReadFile, SaysWhyAFileCantBeRead) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::no_input, "No such file", [&] { read_file(directory / "absent"); });
  expect_error(ErrorKind::no_input, "directory", [&] { read_file(directory.path()); });
}

}  // namespace
}  // namespace gist
