#include "gist/train_output.h"

#include "tests/formats/test_support.h"

namespace gist {
namespace {

using testing::TemporaryDirectory;

TEST(TrainOutput, ThatStaysEmptyGoesWithWhatWasMadeForIt) {
  const TemporaryDirectory directory;
  {
    const TrainOutput output(directory / "new" / "run", false);
    EXPECT_TRUE(std::filesystem::exists(directory / "new" / "run"));
  }
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
}

TEST(TrainOutput, IsNoDirectoryWithOtherFiles) {
  const TemporaryDirectory directory;
  testing::write_file(directory / "notes.txt", "mine");
  testing::expect_error(ErrorKind::cannot_create, "is not empty",
                        [&] { TrainOutput(directory.path(), false); });
  testing::expect_error(ErrorKind::cannot_create, "there is no run to resume",
                        [&] { TrainOutput(directory.path(), true); });
}

}  // namespace
}  // namespace gist
