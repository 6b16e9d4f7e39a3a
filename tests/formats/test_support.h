// The tests of formats/ share this: a directory of their own, and errors as values.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>

#include "kernels/error.h"

namespace gist::testing {

inline const std::filesystem::path fixtures = GIST_FIXTURES;
inline const std::filesystem::path plain_model = fixtures / "models/stories260K";  // 512 pieces
inline const std::filesystem::path gist_model = fixtures / "models/stories260K-gist";
inline const std::filesystem::path llama_store = fixtures / "stores/wordtasks-llama-gist-k1.h5";

/// Removed with all that is in it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "gist-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, std::string_view content) {
  std::filesystem::remove(path);  // some file systems flush a file that is truncated and rewritten
  std::ofstream file(path, std::ios::binary);
  file << content;
}

inline std::string content_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

/// The gist::Error that the call throws; nothing where it throws none.
template <typename Call>
std::optional<Error> error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

/// The call throws an Error of this kind, whose one line has `part` in it.
template <typename Call>
void expect_error(ErrorKind kind, const std::string& part, Call&& call) {
  const std::optional<Error> error = error_of(call);
  ASSERT_TRUE(error.has_value()) << "expected an error with: " << part;
  EXPECT_EQ(error->kind(), kind) << error->what();
  EXPECT_THAT(error->what(), ::testing::HasSubstr(part));
  EXPECT_THAT(error->what(), ::testing::Not(::testing::HasSubstr("\n")));
}

}  // namespace gist::testing
