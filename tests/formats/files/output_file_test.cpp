#include "formats/files/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "formats/files/file_io.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;

class OutputFileTest : public ::testing::Test {
 protected:
  std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_.path())) {
      names.push_back(entry.path().filename().string());
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  void publish(Existing existing) { write_file_atomically(target_, "new", existing); }

  const TemporaryDirectory directory_;
  const std::filesystem::path target_ = directory_ / "out";
};

TEST_F(OutputFileTest, TakesNoOtherFilesPlaceUnasked) {
  write_file(target_, "old");
  expect_error(ErrorKind::cannot_create, "out exists", [&] { publish(Existing::refuse); });
  EXPECT_EQ(content_of(target_), "old");
  publish(Existing::replace);
  EXPECT_EQ(content_of(target_), "new");
  EXPECT_THAT(names(), ElementsAre("out"));
}

TEST_F(OutputFileTest, MayTakeTheNameOfAnEmptyFile) {
  write_file(target_, "");
  publish(Existing::refuse);
  EXPECT_EQ(content_of(target_), "new");
}

TEST_F(OutputFileTest, ALinkIsNeverFollowed) {
  write_file(directory_ / "other", "");
  std::filesystem::create_symlink(directory_ / "other", target_);
  expect_error(ErrorKind::cannot_create, "out exists", [&] { publish(Existing::refuse); });
  publish(Existing::replace);
  EXPECT_FALSE(std::filesystem::is_symlink(target_));
  EXPECT_EQ(content_of(directory_ / "other"), "");
}

TEST_F(OutputFileTest, ADirectoryIsNeverReplaced) {
  std::filesystem::create_directory(target_);
  for (const Existing existing : {Existing::refuse, Existing::replace}) {
    EXPECT_TRUE(error_of([&] { publish(existing); }));
    EXPECT_THAT(names(), ElementsAre("out"));
  }
}

TEST_F(OutputFileTest, APipeIsWrittenIntoAndStays) {
  ASSERT_EQ(::mkfifo(target_.c_str(), 0600), 0);
  const int reader = ::open(target_.c_str(), O_RDONLY | O_NONBLOCK);
  publish(Existing::replace);
  std::string text(3, ' ');
  EXPECT_EQ(::read(reader, text.data(), text.size()), 3);
  EXPECT_EQ(text, "new");
  ::close(reader);
  EXPECT_TRUE(std::filesystem::is_fifo(target_));
}

TEST_F(OutputFileTest, TemporaryNamesDiffer) {
  const TemporaryFile one(target_), other(target_);
  EXPECT_NE(one.path(), other.path());
  EXPECT_TRUE(has_random_digits(one.path().filename().string(), "out.tmp-"));
  EXPECT_EQ(names().size(), 2U);
}

TEST_F(OutputFileTest, RemovesWhatKilledProcessesLeftAndNothingElse) {
  const TemporaryFile living(target_);
  write_file(directory_ / "out.tmp-0123456789abcdef", "half");
  std::filesystem::create_directory(directory_ / "out.tmp-1123456789abcdef");
  std::filesystem::create_symlink(target_, directory_ / "out.tmp-2123456789abcdef");
  write_file(directory_ / "out.tmp-1234", "of others");
  { const TemporaryFile next(target_); }
  std::vector<std::string> expected{"out.tmp-1123456789abcdef", "out.tmp-1234",
                                    "out.tmp-2123456789abcdef", living.path().filename().string()};
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(names(), expected);
}

TEST_F(OutputFileTest, FilesAreToldByWhatTheyAreNotByTheirNames) {
  write_file(target_, "");
  std::filesystem::create_hard_link(target_, directory_ / "hard");
  std::filesystem::create_symlink(target_, directory_ / "soft");
  write_file(directory_ / "other", "");
  EXPECT_EQ(file_id(target_), file_id(directory_ / "hard"));
  EXPECT_EQ(file_id(target_), file_id(directory_ / "soft"));
  EXPECT_NE(file_id(target_), file_id(directory_ / "other"));
  EXPECT_FALSE(file_id(directory_ / "none"));
}

}  // namespace
}  // namespace gist
