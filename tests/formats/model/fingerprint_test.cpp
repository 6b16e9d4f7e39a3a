#include "formats/model/fingerprint.h"

#include <chrono>
#include <nlohmann/json.hpp>
#include <thread>

#include "formats/files/sha256.h"
#include "tests/formats/model/safetensors_file.h"

namespace gist {
namespace {

using namespace gist::testing;
using namespace std::chrono_literals;
using namespace std::string_literals;

const std::string forged(64, 'f');

/// A model in a directory of its own, with a user cache of its own.
class Fingerprint : public ::testing::Test {
 protected:
  Fingerprint() {
    write_weights("xy");
    std::filesystem::create_directory(model_);
    ::setenv("XDG_CACHE_HOME", user_cache_.path().c_str(), 1);
  }
  ~Fingerprint() override { ::unsetenv("XDG_CACHE_HOME"); }

  void write_weights(const std::string& data) {
    std::filesystem::create_directories(model_);
    write_file(weights_,
               safetensors_bytes(R"({"b":{"dtype":"U8","shape":[1,1],"data_offsets":[0,1]},)"
                                 R"("a":{"dtype":"I8","shape":[1],"data_offsets":[1,2]}})",
                                 data));
  }
  void set_age(std::chrono::seconds age) {
    std::filesystem::last_write_time(weights_, std::filesystem::file_time_type::clock::now() - age);
  }
  /// Returns the fingerprint as if the weights had been there for an hour.
  std::string fingerprint() {
    return model_sha256(Checkpoint(model_), std::chrono::system_clock::now() + 1h);
  }
  /// Puts another value into the cache, so that it shows whether the cache was used.
  void forge(const std::filesystem::path& cache) {
    auto content = nlohmann::json::parse(content_of(cache));
    content["sha256"] = forged;
    write_file(cache, content.dump());
  }

  const TemporaryDirectory directory_, user_cache_;
  const std::filesystem::path model_ = directory_ / "model";
  const std::filesystem::path weights_ = model_ / "model.safetensors";
  const std::filesystem::path cache_ = model_ / ".gist-fingerprint.json";
  const std::string expected_ = to_hex(sha256("a\0I8\0001\0yb\0U8\0001,1\0x"s));
};

TEST_F(Fingerprint, HashesNamesDtypesShapesAndBytesInOrderOfTheNames) {
  EXPECT_EQ(compute_model_sha256(Checkpoint(model_)), expected_);
  EXPECT_EQ(fingerprint(), expected_);
}

TEST_F(Fingerprint, EqualsThatInAStoreWrittenByAnotherProgram) {
  EXPECT_EQ(compute_model_sha256(Checkpoint(fixtures / "models/wordtasks-llama-gist")),
            "e0a08cde59bed3c9629ad51e8527ed74f63a24e961c32657db21f804bf4850c6");
}

TEST_F(Fingerprint, IsReadFromTheCacheBesideTheModel) {
  fingerprint();
  forge(cache_);
  EXPECT_EQ(fingerprint(), forged);
}

TEST_F(Fingerprint, IsComputedAgainWhenTheWeightsChange) {
  fingerprint();
  forge(cache_);
  set_age(2h);
  EXPECT_EQ(fingerprint(), expected_);
}

TEST_F(Fingerprint, IsComputedAgainForOtherWeightsOfTheSameSizeAndTime) {
  const auto time = std::filesystem::file_time_type::clock::now() - 24h;
  std::filesystem::last_write_time(weights_, time);
  fingerprint();
  // The file is changed in place, so that the inode stays, and then another file is put in its
  // place.
  for (const bool in_place : {true, false}) {
    forge(cache_);
    std::this_thread::sleep_for(20ms);  // more than a tick of the file system's clock
    std::string bytes = content_of(weights_);
    bytes.back() = in_place ? 'p' : 'q';
    if (!in_place) std::filesystem::remove(weights_);
    std::fstream file(weights_, in_place ? std::ios::in | std::ios::out : std::ios::out);
    file << bytes;
    file.close();
    std::filesystem::last_write_time(weights_, time);
    EXPECT_EQ(fingerprint(), compute_model_sha256(Checkpoint(model_)));
  }
}

TEST_F(Fingerprint, IgnoresADamagedCache) {
  for (const std::string content :
       {"", "garbage", "[]", "{}", R"({"files":[],"sha256":1})", R"({"sha256":"x"})"}) {
    write_file(cache_, content);
    EXPECT_EQ(fingerprint(), expected_) << content;
  }
  fingerprint();
  auto content = nlohmann::json::parse(content_of(cache_));
  content["sha256"] = "not hex";
  write_file(cache_, content.dump());
  EXPECT_EQ(fingerprint(), expected_);
}

TEST_F(Fingerprint, IsNotCachedForWeightsThatWereJustWritten) {
  for (const std::chrono::seconds age : {0s, 3600s}) {  // copies bring old times along
    set_age(age);
    EXPECT_EQ(model_sha256(Checkpoint(model_)), expected_);
  }
  EXPECT_FALSE(std::filesystem::exists(cache_));
}

TEST_F(Fingerprint, IsCachedForTheUserWhereTheModelsDirectoryCantBeWritten) {
  // A directory in the cache's place can't be replaced by a file, even by root.
  std::filesystem::create_directories(cache_ / "in-the-way");
  fingerprint();
  const std::filesystem::directory_iterator caches(user_cache_ / "gist");
  ASSERT_NE(caches, std::filesystem::directory_iterator());
  forge(caches->path());
  EXPECT_EQ(fingerprint(), forged);
}

TEST_F(Fingerprint, NeedsNoCacheAtAll) {
  std::filesystem::create_directories(cache_ / "in-the-way");
  write_file(user_cache_ / "gist", "a file in the way");
  EXPECT_EQ(fingerprint(), expected_);
}

}  // namespace
}  // namespace gist
