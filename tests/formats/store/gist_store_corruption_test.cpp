// Damaged stores: whatever byte is wrong, reading ends in an Error or in the right values.
#include <algorithm>
#include <random>
#include <vector>

#include "formats/store/gist_store.h"
#include "formats/store/hdf5_driver.h"
#include "formats/store/store_header_json.h"
#include "tests/formats/store/store_samples.h"
#include "tests/formats/test_support.h"

#if defined(__SANITIZE_ADDRESS__)
// HDF5 forgets some of its memory when a read fails.
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libhdf5";
}
#endif

namespace gist {
namespace {

using namespace gist::testing;

const std::vector<StoreRow> rows{sample_row(0, 1), sample_row(1, 3), sample_row(2, 2)};

/// All that is read, as text of bytes.
std::string content_of_store(const GistStore& store) {
  std::string all = to_json(store.header()).dump() + "\n";
  for (std::uint64_t r = 0; r < store.rows(); ++r) {
    const StoreRow row = store.row(r);
    all += fmt::format("{} {} {} {} {} {}\n", row.id, row.gist_tokens, row.position, row.ordinal,
                       row.prompt_tokens, to_hex(row.prompt_sha256));
    const GistStore::RawActivations raw = store.raw_activations(r);
    for (const auto* bytes : {&raw.key, &raw.value, &raw.hidden}) {
      all.append(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    }
  }
  return all;
}

struct Outcome {
  std::string content;  // "" where reading failed
  std::string error;
};

Outcome read_all(const std::filesystem::path& path) {
  Outcome outcome;
  try {
    const GistStore store(path, {.trusted = true});
    store.verify();
    outcome.content = content_of_store(store);
  } catch (const Error& error) {
    outcome.error = error.what();
    EXPECT_EQ(error.kind(), ErrorKind::data) << error.what();
    EXPECT_EQ(outcome.error.find('\n'), std::string::npos);
  }
  return outcome;
}

class DamagedStore : public ::testing::Test {
 protected:
  void SetUp() override {
    write_store(path_, sample_header(Dtype::bf16), rows);
    sound_ = content_of(path_);
    content_ = content_of_store(GistStore(path_, {.trusted = true}));
  }

  Outcome outcome_of(const std::string& content) {
    write_file(path_, content);
    return read_all(path_);
  }

  TemporaryDirectory directory_;
  std::filesystem::path path_ = directory_ / "s.h5";
  std::string sound_;
  std::string content_;
};

TEST_F(DamagedStore, AFlippedByteIsFoundOrHarmless) {
  std::mt19937 random(7);
  std::uniform_int_distribution<std::size_t> position(0, sound_.size() - 1);
  std::uniform_int_distribution<int> change(1, 255);
  int found = 0;
  for (int i = 0; i < 600; ++i) {
    std::string content = sound_;
    const std::size_t at = position(random);
    content[at] = static_cast<char>(content[at] ^ change(random));
    const Outcome outcome = outcome_of(content);
    found += !outcome.error.empty();
    if (outcome.error.empty()) {
      EXPECT_EQ(outcome.content, content_) << "byte " << at;
    }
  }
  EXPECT_GT(found, 0);
}

TEST_F(DamagedStore, ARunOfWrongBytesIsFoundOrHarmless) {
  std::mt19937 random(8);
  for (int i = 0; i < 200; ++i) {
    std::string content = sound_;
    const std::size_t begin = random() % content.size();
    const std::size_t end = std::min<std::size_t>(content.size(), begin + 1 + random() % 64);
    for (std::size_t at = begin; at < end; ++at) content[at] = static_cast<char>(random());
    const Outcome outcome = outcome_of(content);
    if (outcome.error.empty()) {
      EXPECT_EQ(outcome.content, content_) << begin << " to " << end;
    }
  }
}

TEST_F(DamagedStore, ATruncatedFileIsAlwaysFound) {
  std::mt19937 random(9);
  for (int i = 0; i < 200; ++i) {
    const std::size_t size =
        i < 100 ? random() % sound_.size() : sound_.size() - 1 - random() % 100;
    EXPECT_NE(outcome_of(sound_.substr(0, size)).error, "") << size << " bytes";
  }
  EXPECT_THAT(outcome_of(sound_.substr(0, sound_.size() - 1)).error,
              ::testing::HasSubstr("truncated"));
}

TEST_F(DamagedStore, TheMessageNamesTheDamagedPart) {
  std::string superblock = sound_;
  superblock[20] ^= 1;
  EXPECT_THAT(outcome_of(superblock).error, ::testing::HasSubstr("a checksum is wrong"));

  const auto key = sample_raw(sample_header(Dtype::bf16), rows[1]).key;
  const std::string bytes(reinterpret_cast<const char*>(key.data()), key.size());
  std::string chunk = sound_;
  const std::size_t at = chunk.find(bytes);
  ASSERT_NE(at, std::string::npos);
  chunk[at] ^= 1;
  const std::string error = outcome_of(chunk).error;
  EXPECT_THAT(error, ::testing::HasSubstr("/gist/key: damaged, a checksum is wrong"));
  EXPECT_THAT(error, ::testing::HasSubstr("rows 0 to 2"));

  std::string index = sound_;
  index[index.find("prompt-0prompt-1")] ^= 1;
  EXPECT_THAT(outcome_of(index).error, ::testing::HasSubstr("/index/id: damaged"));
}

// They stand in the root group's header, under its checksum.
TEST_F(DamagedStore, EveryByteOfTheAttributesIsProtected) {
  EXPECT_EQ(sound_.find("GCOL"), std::string::npos);  // no strings of variable length
  const std::size_t begin = sound_.find("gist-store");
  const std::size_t end = sound_.find(sample_header().tokenizer_sha256);
  ASSERT_LT(begin, end);
  ASSERT_NE(end, std::string::npos);
  for (std::size_t at = begin; at < end; at += 11) {
    std::string content = sound_;
    content[at] ^= static_cast<char>(at % 2 == 0 ? 0x40 : 0xff);
    EXPECT_NE(outcome_of(content).error, "") << "byte " << at;
  }
}

class StringHeap : public ::testing::Test {
 protected:
  /// A header, objects of these (index, size), and free space up to 4096 bytes.
  static std::vector<std::byte> heap(const std::vector<std::pair<int, std::size_t>>& objects) {
    std::vector<std::byte> bytes(4096);
    std::size_t at = 16;
    const auto object = [&bytes](std::size_t begin, int index, std::size_t size) {
      bytes[begin] = static_cast<std::byte>(index);
      for (std::size_t i = 0; i < 8; ++i)
        bytes[begin + 8 + i] = static_cast<std::byte>(size >> 8 * i);
    };
    for (const auto& [index, size] : objects) {
      object(at, index, size);
      at += 16 + (size + 7) / 8 * 8;
    }
    if (at + 16 <= bytes.size()) object(at, 0, bytes.size() - at);
    return bytes;
  }
};

TEST_F(StringHeap, IsSoundWhereItsObjectsFillIt) {
  EXPECT_TRUE(hdf5::heap_is_sound(heap({{1, 5}, {2, 16}, {3, 0}})));
  EXPECT_TRUE(hdf5::heap_is_sound(heap({{1, 4096 - 32}})));
  EXPECT_TRUE(hdf5::heap_is_sound(heap({})));
}

TEST_F(StringHeap, IsDamagedWhereNumbersRepeatOrLackOne) {
  EXPECT_FALSE(hdf5::heap_is_sound(heap({{1, 5}, {1, 16}})));
  EXPECT_FALSE(hdf5::heap_is_sound(heap({{1, 5}, {3, 16}})));
}

TEST_F(StringHeap, IsDamagedWhereASizeLeavesIt) {
  std::vector<std::byte> bytes = heap({{1, 5}});
  bytes[16 + 8 + 2] = std::byte{1};  // the object's size is 65541
  EXPECT_FALSE(hdf5::heap_is_sound(bytes));
}

}  // namespace
}  // namespace gist
