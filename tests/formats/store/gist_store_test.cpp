#include "formats/store/gist_store.h"

#include <cmath>
#include <limits>

#include "formats/store/hdf5.h"
#include "tests/formats/files/file_size_limit.h"
#include "tests/formats/store/store_samples.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The same store with big-endian f64 and i32, strings of fixed length, gzip, in HDF5's oldest
// format.
const std::filesystem::path other_types_store =
    fixtures / "stores/wordtasks-llama-gist-k1-other-types.h5";
const std::filesystem::path t5_store = fixtures / "stores/wordtasks-t5-gist-k1.h5";

/// A store as the test makes it through HDF5, attribute by attribute.
class ForeignFile {
 public:
  explicit ForeignFile(const std::filesystem::path& path) : file_(hdf5::File::create(path)) {}
  ForeignFile& with(const char* name, const char* text) {
    hdf5::write_string(file_, name, text);
    return *this;
  }
  void close() { file_.close(); }

 private:
  hdf5::File file_;
};

/// Changes one root attribute of a store: HDF5 itself does, so that all checksums stay right.
void change_integer(const std::filesystem::path& path, const char* name, std::int64_t value) {
  const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  const hdf5::Handle attribute(H5Aopen(file.get(), name, H5P_DEFAULT));
  ASSERT_GE(H5Awrite(attribute.get(), H5T_NATIVE_INT64, &value), 0);
}

/// Changes one element of an integer array.
void change_element(const std::filesystem::path& path, const char* name, std::uint64_t at,
                    std::uint64_t value) {
  const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  const hdf5::Handle dataset(H5Dopen2(file.get(), name, H5P_DEFAULT));
  const hdf5::Handle space(H5Dget_space(dataset.get()));
  const hdf5::Handle one(H5Screate(H5S_SCALAR));
  const hsize_t coordinate = at;
  ASSERT_GE(H5Sselect_elements(space.get(), H5S_SELECT_SET, 1, &coordinate), 0);
  ASSERT_GE(H5Dwrite(dataset.get(), H5T_NATIVE_UINT64, one.get(), space.get(), H5P_DEFAULT, &value),
            0);
}

void remove_link(const std::filesystem::path& path, const char* name) {
  const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
  ASSERT_GE(H5Ldelete(file.get(), name, H5P_DEFAULT), 0);
}

TEST(GistStore, ReadsTheStoreThatH5pyWrote) {
  const GistStore store(llama_store);
  EXPECT_EQ(store.header().family, "llama");
  EXPECT_EQ(store.header().creator, "h5py");
  EXPECT_EQ(store.header().n_layers, 4);
  EXPECT_EQ(store.header().d_model, 128);
  EXPECT_EQ(store.header().gist_token_id, 900);
  EXPECT_EQ(store.header().key_position, "pre-rope");
  EXPECT_EQ(store.header().model_sha256,
            "e0a08cde59bed3c9629ad51e8527ed74f63a24e961c32657db21f804bf4850c6");
  EXPECT_THAT(ids_of(store), ElementsAre("prompt-0", "prompt-1", "prompt-2", "prompt-3"));
  EXPECT_EQ(store.total_gist_tokens(), 4u);
  EXPECT_FALSE(store.has_hidden());
  EXPECT_EQ(store.find("prompt-2"), 2u);
  EXPECT_EQ(store.find("prompt-4"), std::nullopt);
  EXPECT_EQ(store.find_prompt(store.row(3).prompt_sha256), 3u);
  EXPECT_EQ(store.find_prompt(Sha256{}), std::nullopt);
  store.verify();
}

// Values printed by h5py.
TEST(GistStore, ReadsTheValuesThatH5pyWrote) {
  const GistStore store(llama_store);
  const GistActivations second = store.activations(1);
  EXPECT_EQ(second.tokens, 1);
  ASSERT_EQ(second.key.size(), 4u * 4 * 32);
  ASSERT_EQ(second.value.size(), 4u * 4 * 32);
  EXPECT_EQ(store.row(1).ordinal, 1u);
  EXPECT_FLOAT_EQ(second.key[0], -0.7043279f);
  EXPECT_FLOAT_EQ(second.key[511], -0.009219125f);
  EXPECT_FLOAT_EQ(second.value[511], 0.74224937f);
  EXPECT_EQ(store.row(1).position, 37u);
  EXPECT_EQ(store.row(1).prompt_tokens, 37u);
}

TEST(GistStore, ReadsAnyIntegerFloatAndStringType) {
  const GistStore store(other_types_store);
  const GistStore same(llama_store);
  EXPECT_EQ(header_difference(store.header(), same.header(), true), "");
  EXPECT_EQ(ids_of(store), ids_of(same));
  for (std::uint64_t r = 0; r < same.rows(); ++r) {
    EXPECT_EQ(store.row(r).prompt_sha256, same.row(r).prompt_sha256);
    EXPECT_EQ(store.row(r).position, same.row(r).position);
    EXPECT_EQ(store.activations(r).key, same.activations(r).key);
    EXPECT_EQ(store.raw_activations(r).value, same.raw_activations(r).value);
  }
  store.verify();
}

TEST(GistStore, ReadsAStoreWhoseKeysCarryNoPosition) {
  const GistStore store(t5_store);
  EXPECT_EQ(store.header().key_position, "none");
  EXPECT_EQ(store.header().family, "t5");
  EXPECT_TRUE(store.has_hidden());
  EXPECT_EQ(store.activations(0).hidden.size(), 128u);
  store.verify();
}

class GistStoreDtypes : public ::testing::TestWithParam<Dtype> {};

TEST_P(GistStoreDtypes, RowsOfMixedLengthsComeBack) {
  const TemporaryDirectory directory;
  const StoreHeader header = sample_header(GetParam());
  const std::vector<StoreRow> rows{sample_row(0, 1), sample_row(1, 7), sample_row(2, 2)};
  write_store(directory / "s.h5", header, rows);
  const GistStore store(directory / "s.h5");
  EXPECT_EQ(header_difference(store.header(), header, true), "");
  EXPECT_EQ(store.header().creator, header.creator);
  ASSERT_EQ(store.rows(), 3u);
  for (std::size_t r = 0; r < rows.size(); ++r) {
    const StoreRow row = store.row(r);
    EXPECT_EQ(row.id, rows[r].id);
    EXPECT_EQ(row.gist_tokens, rows[r].gist_tokens);
    EXPECT_EQ(row.position, rows[r].position);
    EXPECT_EQ(row.ordinal, rows[r].ordinal);
    EXPECT_EQ(row.prompt_tokens, rows[r].prompt_tokens);
    EXPECT_EQ(row.prompt_sha256, rows[r].prompt_sha256);
    const GistActivations expected = sample_activations(header, rows[r]);
    const GistActivations found = store.activations(r);
    EXPECT_EQ(found.tokens, expected.tokens);
    EXPECT_EQ(found.key, expected.key);
    EXPECT_EQ(found.value, expected.value);
    EXPECT_EQ(found.hidden, expected.hidden);
    EXPECT_EQ(store.raw_activations(r).key, to_raw(expected, GetParam()).key);
    const GistActivations again = from_raw(store.raw_activations(r), found.tokens, GetParam());
    EXPECT_EQ(again.key, found.key);
    EXPECT_EQ(again.value, found.value);
    EXPECT_EQ(again.hidden, found.hidden);
  }
  store.verify();
}

TEST_P(GistStoreDtypes, TwoRunsGiveTheSameBytes) {
  const TemporaryDirectory directory;
  const StoreHeader header = sample_header(GetParam());
  for (const char* name : {"a.h5", "b.h5"}) {
    write_store(directory / name, header, {sample_row(0, 3), sample_row(1, 1)});
  }
  EXPECT_EQ(content_of(directory / "a.h5"), content_of(directory / "b.h5"));
}

INSTANTIATE_TEST_SUITE_P(All, GistStoreDtypes,
                         ::testing::Values(Dtype::f32, Dtype::bf16, Dtype::f16),
                         [](const auto& dtype) { return std::string(name_of(dtype.param)); });

TEST(GistStore, ChunksOfManyRowsComeBack) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header(Dtype::bf16);
  header.key_dim = 4096;
  const std::uint64_t count = 60;  // of 2 * 3 * 4096 * 2 bytes a token: several chunks
  std::vector<StoreRow> rows;
  for (std::uint64_t r = 0; r < count; ++r) rows.push_back(sample_row(r, r % 3 == 0 ? 2 : 1));
  write_store(directory / "s.h5", header, rows);
  const GistStore store(directory / "s.h5");
  for (std::uint64_t r = 0; r < count; ++r) {
    EXPECT_EQ(store.raw_activations(r).key, sample_raw(header, rows[r]).key) << "row " << r;
    EXPECT_EQ(store.find(rows[r].id), r);
  }
  store.verify();
}

TEST(GistStore, ARowIsReadWithFewOthers) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header();
  header.key_dim = 40;
  std::vector<StoreRow> rows;
  for (std::uint64_t r = 0; r < 300; ++r) rows.push_back(sample_row(r, 1));
  write_store(directory / "s.h5", header, rows);
  const auto file = hdf5::File::open(directory / "s.h5");
  const auto key = hdf5::open_dataset(file, "/gist/key", H5T_FLOAT, 4);
  EXPECT_EQ(key.chunk_rows, 32768u / (2 * 3 * 40 * 4));
  // A token larger than that has a chunk of its own.
  header.key_dim = 4096;
  write_store(directory / "wide.h5", header, {sample_row(0, 2)});
  const auto wide = hdf5::File::open(directory / "wide.h5");
  EXPECT_EQ(hdf5::open_dataset(wide, "/gist/key", H5T_FLOAT, 4).chunk_rows, 1u);
}

TEST(GistStore, GivesTheSameRowsWhateverItsCache) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header();
  header.key_dim = 100;
  std::vector<StoreRow> rows;
  for (std::uint64_t r = 0; r < 200; ++r) rows.push_back(sample_row(r, 1));
  write_store(directory / "s.h5", header, rows);
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, std::uint64_t{100'000}, std::uint64_t{1} << 40}) {
    const GistStore store(directory / "s.h5", {.cache_bytes = bytes});
    for (std::uint64_t i = 0; i < 400; ++i) {
      const std::uint64_t r = i * 71 % rows.size();
      EXPECT_EQ(store.raw_activations(r).key, sample_raw(header, rows[r]).key) << "row " << r;
    }
  }
}

TEST(GistStore, TextsOfAnyLengthComeBack) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header();
  header.creator = "";
  header.architecture = "\xC3\x89";
  header.prompt_template = "[\"" + std::string(60000, 'x') + "\"]";
  write_store(directory / "s.h5", header, {sample_row(0, 1)});
  const GistStore store(directory / "s.h5");
  EXPECT_EQ(header_difference(store.header(), header, true), "");
  EXPECT_EQ(store.header().creator, "");
  header.prompt_template += std::string(6000, ' ');
  expect_error(ErrorKind::data, "attribute template has 66004 bytes",
               [&] { write_store(directory / "long.h5", header, {}); });
}

TEST(GistStore, MayBeEmpty) {
  const TemporaryDirectory directory;
  write_store(directory / "s.h5", sample_header(), {});
  const GistStore store(directory / "s.h5");
  EXPECT_EQ(store.rows(), 0u);
  EXPECT_EQ(store.find("prompt-0"), std::nullopt);
  store.verify();
}

TEST(GistStore, GivesNoRowWithAValueThatIsNotFinite) {
  const TemporaryDirectory directory;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const StoreHeader header = sample_header(dtype);
    GistStoreWriter writer(directory / fmt::format("{}.h5", name_of(dtype)), header);
    for (std::uint64_t i = 0; i < 2; ++i) {
      const StoreRow row = sample_row(i, 1);
      auto raw = to_raw(sample_activations(header, row), dtype);
      if (i == 1) std::fill_n(raw.value.end() - 2, 2, std::byte{0xff});  // NaN
      writer.append(row, raw);
    }
    writer.publish();
    const GistStore store(directory / fmt::format("{}.h5", name_of(dtype)));
    EXPECT_NO_THROW(store.activations(0));
    for (const bool raw : {false, true}) {
      try {
        if (raw) {
          store.raw_activations(1);
        } else {
          store.activations(1);
        }
        ADD_FAILURE() << "read";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::data);
        const std::string message = error.what();
        EXPECT_NE(message.find("/gist/value, row 1 (id \"prompt-1\")"), std::string::npos)
            << message;
      }
    }
  }
}

TEST(GistStore, HiddenStatesMayBeAbsent) {
  const TemporaryDirectory directory;
  GistActivations activations = sample_activations(sample_header(), sample_row(0, 1));
  activations.hidden.clear();
  GistStoreWriter writer(directory / "s.h5", sample_header());
  writer.append(sample_row(0, 1), to_raw(activations, Dtype::f32));
  writer.publish();
  const GistStore store(directory / "s.h5");
  EXPECT_FALSE(store.has_hidden());
  EXPECT_TRUE(store.activations(0).hidden.empty());
}

TEST(GistStore, LeavesNothingWithoutPublish) {
  const TemporaryDirectory directory;
  {
    GistStoreWriter writer(directory / "s.h5", sample_header());
    writer.append(sample_row(0, 1), sample_raw(sample_header(), sample_row(0, 1)));
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(GistStore, RefusesAnIdTwiceWhenWriting) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::data, "prompt-5", [&] {
    write_store(directory / "s.h5", sample_header(), {sample_row(5, 1), sample_row(5, 1)});
  });
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(GistStore, AFullDiskIsAnErrorAndLeavesNothing) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header();
  header.key_dim = 100000;
  {
    const FileSizeLimit limit(1 << 20);
    expect_error(ErrorKind::io, "s.h5.tmp-", [&] {
      write_store(directory / "s.h5", header, {sample_row(0, 1), sample_row(1, 1)});
    });
    const FileSizeLimit nothing(100);
    expect_error(ErrorKind::io, "s.h5.tmp-",
                 [&] { write_store(directory / "s.h5", header, {sample_row(0, 1)}); });
  }
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(GistStore, RefusesADirectoryThatIsNotThere) {
  expect_error(ErrorKind::cannot_create, "/nowhere/s.h5",
               [] { const GistStoreWriter writer("/nowhere/s.h5", sample_header()); });
}

TEST(GistStore, OverflowOfF16IsRefusedWithItsValue) {
  GistActivations activations = sample_activations(sample_header(), sample_row(0, 1));
  activations.value[3] = 70000.0f;
  expect_error(ErrorKind::data, "value has the value 70000, which overflows f16",
               [&] { to_raw(activations, Dtype::f16); });
  EXPECT_EQ(to_raw(activations, Dtype::bf16).value.size(), 2 * activations.value.size());
}

TEST(GistStore, ValuesThatAreNotFiniteAreRefused) {
  GistActivations activations = sample_activations(sample_header(), sample_row(0, 1));
  activations.key[0] = std::numeric_limits<float>::quiet_NaN();
  expect_error(ErrorKind::data, "key has the value nan", [&] { to_raw(activations, Dtype::f32); });
}

TEST(GistStore, VerifyNamesTheRowOfAValueThatIsNotFinite) {
  const TemporaryDirectory directory;
  GistStore::RawActivations bad = sample_raw(sample_header(), sample_row(1, 2));
  std::fill(bad.value.end() - 4, bad.value.end(), std::byte{0xff});
  GistStoreWriter writer(directory / "s.h5", sample_header());
  writer.append(sample_row(0, 1), sample_raw(sample_header(), sample_row(0, 1)));
  writer.append(sample_row(1, 2), bad);
  writer.publish();
  const GistStore store(directory / "s.h5");
  expect_error(ErrorKind::data, "/gist/value, row 1 (id \"prompt-1\")", [&] { store.verify(); });
}

TEST(GistStore, VerifySaysHowManyRowsOfHowManyAreSound) {
  const TemporaryDirectory directory;
  StoreHeader header = sample_header();
  header.n_layers = 200;  // so that rows are read in several pieces, fewer at once of larger arrays
  std::vector<StoreRow> rows;
  for (std::uint64_t row = 0; row < 300; ++row) rows.push_back(sample_row(row, 1 + row % 3));
  write_store(directory / "s.h5", header, rows);
  std::vector<std::uint64_t> told;
  GistStore(directory / "s.h5").verify([&told](std::uint64_t done, std::uint64_t all) {
    EXPECT_EQ(all, 300u);
    told.push_back(done);
  });
  EXPECT_GT(told.size(), 4u);
  EXPECT_TRUE(std::is_sorted(told.begin(), told.end()));
  EXPECT_EQ(told.front(), 0u);
  EXPECT_EQ(told.back(), 300u);
  write_store(directory / "empty.h5", header, {});
  told.clear();
  GistStore(directory / "empty.h5").verify([&told](std::uint64_t done, std::uint64_t) {
    told.push_back(done);
  });
  EXPECT_THAT(told, ElementsAre(0, 0));
}

TEST(GistStore, HeadersDifferByTheirFirstField) {
  StoreHeader other = sample_header(Dtype::f16);
  EXPECT_EQ(header_difference(sample_header(), other, false), "");
  EXPECT_EQ(header_difference(sample_header(), other, true), "dtype: \"f32\" here, \"f16\" there");
  other.creator = "someone else";
  other.prompt_template = R"([ "bos",{"text":"Instruction: {instruction}"},"gist" ])";
  EXPECT_EQ(header_difference(sample_header(), other, false), "");
  other.n_layers = 5;
  EXPECT_EQ(header_difference(sample_header(), other, false), "n_layers: 2 here, 5 there");
}

TEST(GistStore, ADeeplyNestedTemplateIsComparedAsText) {
  const std::string deep = std::string(60000, '[') + std::string(60000, ']');
  StoreHeader one = sample_header();
  StoreHeader other = sample_header();
  one.prompt_template = deep;
  other.prompt_template = deep;
  EXPECT_EQ(header_difference(one, other, true), "");
  other.prompt_template += " ";
  EXPECT_NE(header_difference(one, other, true), "");
}

TEST(GistStoreReading, TellsWhatTheFileIsNot) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::no_input, "missing.h5", [&] { GistStore(directory / "missing.h5"); });
  expect_error(ErrorKind::no_input, "no regular file", [&] { GistStore{directory.path()}; });
  write_file(directory / "empty.h5", "");
  expect_error(ErrorKind::data, "is empty", [&] { GistStore(directory / "empty.h5"); });
  write_file(directory / "text.h5", std::string(5000, 'x'));
  expect_error(ErrorKind::data, "no HDF5 file", [&] { GistStore(directory / "text.h5"); });
  ForeignFile(directory / "foreign.h5").with("title", "weather").close();
  expect_error(ErrorKind::data, "no gist store", [&] { GistStore(directory / "foreign.h5"); });
  ForeignFile(directory / "newer.h5").with("format", "gist-store").with("version", "2.0").close();
  expect_error(ErrorKind::data, R"(version "2.0", newer)",
               [&] { GistStore(directory / "newer.h5"); });
  ForeignFile(directory / "layout.h5")
      .with("format", "gist-store")
      .with("version", "1.3")
      .with("layout", "sparse-2")
      .close();
  expect_error(ErrorKind::data, "layout \"sparse-2\" is unknown",
               [&] { GistStore(directory / "layout.h5"); });
}

TEST(GistStoreReading, RefusesWhatNoStoreHas) {
  const TemporaryDirectory directory;
  const auto path = directory / "s.h5";
  const std::string sound = content_of(other_types_store);
  const auto refuses = [&](std::size_t at, char change, const char* part) {
    std::string content = sound;
    content[at] = static_cast<char>(content[at] ^ change);
    write_file(path, content);
    expect_error(ErrorKind::data, part, [&] { GistStore{path}; });
  };
  refuses(0, 1, "no HDF5 file");
  refuses(8, 7, "unknown version of HDF5's superblock");
  refuses(13, 4, "its addresses don't have 8 bytes");
  refuses(24, 1, "its data don't begin where it does");
  refuses(48, 1, "a driver of HDF5's own");
  write_file(path, std::string(512, '\0') + sound);
  expect_error(ErrorKind::data, "no HDF5 file", [&] { GistStore{path}; });
}

/// A store of two rows to break.
std::filesystem::path broken_store(const TemporaryDirectory& directory) {
  write_store(directory / "s.h5", sample_header(), {sample_row(0, 1), sample_row(1, 2)});
  return directory / "s.h5";
}

TEST(GistStoreReading, RefusesAMissingArray) {
  const TemporaryDirectory directory;
  const auto path = broken_store(directory);
  remove_link(path, "/index/position");
  expect_error(ErrorKind::data, "/index/position is missing", [&] { GistStore{path}; });
  remove_link(path, "/gist");
  expect_error(ErrorKind::data, "/gist/key is missing", [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesAShapeThatTheAttributesContradict) {
  const TemporaryDirectory directory;
  const auto path = broken_store(directory);
  change_integer(path, "value_dim", 7);
  expect_error(ErrorKind::data, "/gist/value is [3, 2, 3, 5]", [&] { GistStore{path}; });
  change_integer(path, "n_layers", -1);
  expect_error(ErrorKind::data, "n_layers is -1", [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesAnIndexThatContradictsItself) {
  const TemporaryDirectory directory;
  auto path = broken_store(directory);
  change_element(path, "/index/gist_end", 1, 1000);
  expect_error(ErrorKind::data, "/index/gist_end, row 1: 1000", [&] { GistStore{path}; });
  path = broken_store(directory);
  change_element(path, "/index/gist_end", 1, 2);
  expect_error(ErrorKind::data, "/index/gist_end ends at 2, expected 3", [&] { GistStore{path}; });
  path = broken_store(directory);
  change_element(path, "/index/id_end", 0, 1'000'000);
  expect_error(ErrorKind::data, "/index/id_end, row 0", [&] { GistStore{path}; });
  path = broken_store(directory);
  change_element(path, "/index/by_id", 0, 2);
  expect_error(ErrorKind::data, "/index/by_id[0] is 2", [&] { GistStore{path}; });
  path = broken_store(directory);
  change_element(path, "/index/by_id", 0, 1);
  expect_error(ErrorKind::data, "the ids do not rise", [&] { GistStore{path}; });
  path = broken_store(directory);
  change_element(path, "/index/id", 0, 0xff);
  expect_error(ErrorKind::data, "/index/id, row 0: not UTF-8", [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesPositionsThatNoPromptReaches) {
  const TemporaryDirectory directory;
  auto path = broken_store(directory);
  change_element(path, "/index/position", 1, std::uint64_t{1} << 30);
  expect_error(ErrorKind::data, "/index/position, row 1: 1073741824 is no position",
               [&] { GistStore{path}; });
  change_element(path, "/index/position", 1, (std::uint64_t{1} << 30) - 2);
  EXPECT_EQ(GistStore(path).row(1).position, (std::uint64_t{1} << 30) - 2);
  change_integer(path, "gist_tokens", 2147483647);
  expect_error(ErrorKind::data, "gist_tokens is 2147483647, expected 0 to 1048576",
               [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesAnArrayThatClaimsMoreThanTheFileHolds) {
  const TemporaryDirectory directory;
  const auto path = broken_store(directory);
  {
    const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    const hdf5::Handle dataset(H5Dopen2(file.get(), "/index/id_end", H5P_DEFAULT));
    const hsize_t rows = hsize_t{1} << 40;
    ASSERT_GE(H5Dset_extent(dataset.get(), &rows), 0);
  }
  expect_error(ErrorKind::data, "/index/id_end claims 8796093022208 bytes",
               [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesANumberThatDoesNotFit) {
  const TemporaryDirectory directory;
  const auto path = broken_store(directory);
  remove_link(path, "/index/position");
  {
    const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
    const hsize_t count = 2;
    const hdf5::Handle space(H5Screate_simple(1, &count, nullptr));
    const hdf5::Handle dataset(H5Dcreate2(file.get(), "/index/position", H5T_STD_I64BE, space.get(),
                                          H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    const std::int64_t positions[] = {3, -1};
    ASSERT_GE(H5Dwrite(dataset.get(), H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, positions),
              0);
  }
  expect_error(ErrorKind::data, "/index/position: a number is out of its range",
               [&] { GistStore{path}; });
}

TEST(GistStoreReading, RefusesOtherFiltersThanGzipShuffleAndChecksums) {
  const TemporaryDirectory directory;
  for (const bool gzip : {true, false}) {
    const auto path = broken_store(directory);
    remove_link(path, "/index/position");
    {
      const hdf5::Handle file(H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT));
      const hsize_t count = 2;
      const hdf5::Handle space(H5Screate_simple(1, &count, nullptr));
      const hdf5::Handle creation(H5Pcreate(H5P_DATASET_CREATE));
      ASSERT_GE(H5Pset_chunk(creation.get(), 1, &count), 0);
      ASSERT_GE(H5Pset_shuffle(creation.get()), 0);
      ASSERT_GE(gzip ? H5Pset_deflate(creation.get(), 4) : H5Pset_nbit(creation.get()), 0);
      ASSERT_GE(H5Pset_fletcher32(creation.get()), 0);
      const hdf5::Handle dataset(H5Dcreate2(file.get(), "/index/position", H5T_STD_U32LE,
                                            space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT));
      const std::uint32_t positions[] = {3, 4};
      ASSERT_GE(
          H5Dwrite(dataset.get(), H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, positions), 0);
    }
    if (gzip) {
      EXPECT_EQ(GistStore(path).row(1).position, 4u);
    } else {
      expect_error(ErrorKind::data, "gist reads gzip, shuffle and fletcher32",
                   [&] { GistStore{path}; });
    }
  }
}

TEST(GistStoreReading, LeavesHdf5ErrorPrintingAsItWas) {
  H5E_auto2_t before = nullptr;
  H5E_auto2_t after = nullptr;
  void* data = nullptr;
  H5Eget_auto2(H5E_DEFAULT, &before, &data);
  EXPECT_TRUE(error_of([] { GistStore("/nowhere.h5"); }).has_value());
  H5Eget_auto2(H5E_DEFAULT, &after, &data);
  EXPECT_EQ(before, after);
}

}  // namespace
}  // namespace gist
