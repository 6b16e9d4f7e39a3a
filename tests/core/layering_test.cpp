// core/ stands on kernels/ alone.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace {

TEST(Layering, CoreIncludesNothingAboveItself) {
  int includes = 0;
  const std::filesystem::path core = std::filesystem::path(GIST_SOURCE) / "core";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(core)) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cpp") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      if (!line.starts_with("#include \"")) continue;
      ++includes;
      const std::string name = line.substr(10);
      EXPECT_TRUE(name.starts_with("core/") || name.starts_with("kernels/"))
          << entry.path() << ": " << line;
      for (const char* device : {"kernels/cpu/", "kernels/cuda/", "kernels/meta/"}) {
        EXPECT_FALSE(name.starts_with(device)) << entry.path() << ": " << line;
      }
    }
  }
  EXPECT_GT(includes, 20);
}

}  // namespace
