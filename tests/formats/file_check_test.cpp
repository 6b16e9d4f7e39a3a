// Files of unknown origin, read first by gist-file-check.
#include "formats/files/file_check.h"

#include <cstdlib>

#include "formats/model/charsmap.h"
#include "formats/model/tokenizer.h"
#include "formats/store/gist_store.h"
#include "tests/formats/store/store_samples.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::HasSubstr;

const std::filesystem::path t5_vocabulary = fixtures / "models/wordtasks-t5-gist/spiece.model";

/// A user's cache of the test's own.
class UserCache {
 public:
  UserCache() {
    const char* before = std::getenv("XDG_CACHE_HOME");
    if (before != nullptr) before_ = before;
    ::setenv("XDG_CACHE_HOME", directory_.path().c_str(), 1);
  }
  UserCache(const UserCache&) = delete;
  UserCache& operator=(const UserCache&) = delete;
  ~UserCache() {
    if (before_) {
      ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      ::unsetenv("XDG_CACHE_HOME");
    }
  }
  std::size_t files() const {
    std::error_code none;
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(directory_ / "gist", none)) {
      count += entry.is_regular_file();
    }
    return count;
  }

 private:
  TemporaryDirectory directory_;
  std::optional<std::string> before_;
};

TEST(FileCheck, PassesWhatIsSound) {
  check_file(llama_store, FileCheck::store_chunks);
  check_file(t5_vocabulary, FileCheck::tokenizer);
}

TEST(FileCheck, ThrowsWhatTheChildFound) {
  const TemporaryDirectory directory;
  write_store(directory / "s.h5", sample_header(), {sample_row(0, 1), sample_row(1, 2)});
  const std::string sound = content_of(directory / "s.h5");
  std::string damaged = sound;
  damaged[sound.find("prompt-0prompt-1")] ^= 1;
  write_file(directory / "s.h5", damaged);
  expect_error(ErrorKind::data, "/index/id: damaged, a checksum is wrong",
               [&] { check_file(directory / "s.h5", FileCheck::store); });
  // Chunks are looked at only where that is asked for.
  const auto key = sample_raw(sample_header(), sample_row(1, 2)).key;
  damaged = sound;
  damaged[sound.find(std::string(reinterpret_cast<const char*>(key.data()), key.size()))] ^= 1;
  write_file(directory / "s.h5", damaged);
  check_file(directory / "s.h5", FileCheck::store);
  expect_error(ErrorKind::data, "/gist/key: damaged",
               [&] { check_file(directory / "s.h5", FileCheck::store_chunks); });
}

TEST(FileCheck, SaysHowManyRowsOfAStoreAreSound) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  const auto rows_done = [&told](std::uint64_t done, std::uint64_t all) {
    told.emplace_back(done, all);
  };
  check_file(llama_store, FileCheck::store, rows_done);
  EXPECT_TRUE(told.empty());
  check_file(llama_store, FileCheck::store_chunks, rows_done);
  ASSERT_GE(told.size(), 2u);
  EXPECT_EQ(told.front(), std::pair(std::uint64_t{0}, std::uint64_t{4}));
  EXPECT_EQ(told.back(), std::pair(std::uint64_t{4}, std::uint64_t{4}));
}

TEST(FileCheck, LeavesWhatCannotBeOpenedToTheReader) {
  check_file("/nowhere/s.h5", FileCheck::store);
  check_file("/dev/null", FileCheck::store);
  expect_error(ErrorKind::no_input, "/nowhere/s.h5", [] { GistStore("/nowhere/s.h5"); });
}

/// Each of these bytes, wrong, can end HDF5 1.10.8 by a segmentation fault, as memory happens to
/// be.
TEST(FileCheck, AChildThatDiesMeansADamagedFile) {
  const TemporaryDirectory directory;
  const std::string sound = content_of(fixtures / "stores/wordtasks-llama-gist-k1-other-types.h5");
  int found = 0;
  for (const std::size_t at : {3820, 4230, 4722, 4927, 5337, 5583}) {
    std::string damaged = sound;
    damaged[at] ^= 64;
    write_file(directory / "s.h5", damaged);
    const auto error = error_of([&] { GistStore(directory / "s.h5"); });
    if (!error) continue;
    ++found;
    EXPECT_EQ(error->kind(), ErrorKind::data) << error->what();
    EXPECT_THAT(error->what(), HasSubstr("s.h5: "));
    EXPECT_THAT(error->what(), ::testing::Not(HasSubstr("\n")));
  }
  EXPECT_GT(found, 0);
}

TEST(FileCheck, RemembersWhatPassed) {
  const UserCache cache;
  const Tokenizer first = Tokenizer::open(t5_vocabulary);
  EXPECT_EQ(cache.files(), 1u);
  const Tokenizer again = Tokenizer::open(t5_vocabulary);
  EXPECT_EQ(cache.files(), 1u);
  const TemporaryDirectory directory;
  write_store(directory / "s.h5", sample_header(), {sample_row(0, 1)});
  const GistStore store(directory / "s.h5");
  EXPECT_EQ(cache.files(), 1u);  // a file as new as that could change again without a trace
}

TEST(FileCheck, ADamagedNormalisationMapIsRefused) {
  const UserCache cache;
  const TemporaryDirectory directory;
  const std::string sound = content_of(t5_vocabulary);
  EXPECT_EQ(charsmap_fault(sound), "");
  int found = 0;
  for (std::size_t at = 9000; at < sound.size(); at += 1999) {
    std::string damaged = sound;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x40);
    found += !charsmap_fault(damaged).empty();
  }
  EXPECT_GT(found, 0);
  // With this byte SentencePiece reads memory that isn't its own.
  std::string damaged = sound;
  damaged[8917] = static_cast<char>(damaged[8917] ^ 0xff);
  write_file(directory / "spiece.model", damaged);
  expect_error(ErrorKind::data, "spiece.model: a damaged SentencePiece model",
               [&] { Tokenizer::open(directory / "spiece.model"); });
  EXPECT_EQ(cache.files(), 0u);
}

}  // namespace
}  // namespace gist
