#include "kernels/installation.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

namespace fs = std::filesystem;

TEST(Installation, IsWhereTheProgramsDirectoryStands) {
  const fs::path program = fs::read_symlink("/proc/self/exe");
  EXPECT_EQ(installation_prefix(), program.parent_path().parent_path());
}

TEST(Installation, DoesNotMoveWithTheWorkingDirectory) {
  const fs::path before = installation_prefix();
  const fs::path directory = fs::current_path();
  fs::current_path("/");
  EXPECT_EQ(installation_prefix(), before);
  fs::current_path(directory);
}

}  // namespace
}  // namespace gist
