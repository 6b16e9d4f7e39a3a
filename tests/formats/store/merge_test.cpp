#include "formats/store/merge.h"

#include "tests/formats/store/store_samples.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using namespace gist::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

/// A row whose ordinal is not its number.
StoreRow at_ordinal(std::uint64_t number, std::uint64_t ordinal) {
  StoreRow row = sample_row(number, 1);
  row.ordinal = ordinal;
  return row;
}

class Merge : public ::testing::Test {
 protected:
  std::filesystem::path store(const char* name, const std::vector<StoreRow>& rows,
                              const StoreHeader& header = sample_header()) {
    write_store(directory_ / name, header, rows);
    return directory_ / name;
  }
  MergeResult merge(const std::vector<std::filesystem::path>& inputs) {
    return merge_stores(inputs, output_, {.existing = Existing::replace});
  }

  TemporaryDirectory directory_;
  std::filesystem::path output_ = directory_ / "out.h5";
};

TEST_F(Merge, ShardsOfOneInputGiveTheStoreOfOneRun) {
  const auto odd = store("1.h5", {sample_row(1, 2), sample_row(3, 1), sample_row(5, 1)});
  const auto even = store("0.h5", {sample_row(0, 1), sample_row(2, 3), sample_row(4, 1)});
  const MergeResult result = merge({odd, even});
  EXPECT_EQ(result.rows, 6u);
  EXPECT_EQ(result.duplicates, 0u);
  const auto whole = store("whole.h5", {sample_row(0, 1), sample_row(1, 2), sample_row(2, 3),
                                        sample_row(3, 1), sample_row(4, 1), sample_row(5, 1)});
  EXPECT_EQ(content_of(output_), content_of(whole));
}

TEST_F(Merge, OtherStoresComeInArgumentOrder) {
  const auto a = store("a.h5", {at_ordinal(1, 0), at_ordinal(2, 1)});
  const auto b = store("b.h5", {at_ordinal(3, 0)});
  merge({b, a});
  const GistStore merged(output_);
  EXPECT_THAT(ids_of(merged), ElementsAre("prompt-3", "prompt-1", "prompt-2"));
  EXPECT_EQ(merged.row(2).ordinal, 1u);
  merged.verify();
}

TEST_F(Merge, OrdinalsThatFallWithinAStoreMeanArgumentOrder) {
  const auto a = store("a.h5", {at_ordinal(1, 5), at_ordinal(2, 4)});
  const auto b = store("b.h5", {at_ordinal(3, 0)});
  merge({a, b});
  EXPECT_THAT(ids_of(GistStore(output_)), ElementsAre("prompt-1", "prompt-2", "prompt-3"));
}

TEST_F(Merge, IdenticalDuplicatesBecomeOneRow) {
  const auto a = store("a.h5", {at_ordinal(1, 0), at_ordinal(2, 1)});
  const auto b = store("b.h5", {at_ordinal(2, 0), at_ordinal(3, 1)});
  const MergeResult result = merge({a, b});
  EXPECT_EQ(result.rows, 3u);
  EXPECT_EQ(result.duplicates, 1u);
  EXPECT_THAT(ids_of(GistStore(output_)), ElementsAre("prompt-1", "prompt-2", "prompt-3"));
  EXPECT_EQ(GistStore(output_).row(1).ordinal, 1u);  // the first of the two
}

TEST_F(Merge, OneIdForTwoPromptsIsRefusedNamingBothFiles) {
  StoreRow other = sample_row(1, 1);
  other.prompt_sha256 = sha256("another prompt");
  const auto a = store("a.h5", {sample_row(0, 1), sample_row(1, 1)});
  const auto b = store("b.h5", {other});
  const auto error = error_of([&] { merge({a, b}); });
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->kind(), ErrorKind::data);
  EXPECT_THAT(error->what(),
              AllOf(HasSubstr("\"prompt-1\""), HasSubstr("a.h5"), HasSubstr("b.h5")));
  EXPECT_FALSE(std::filesystem::exists(output_));
}

TEST_F(Merge, RowsLeftOutDoNotClash) {
  StoreRow other = sample_row(1, 1);
  other.prompt_sha256 = sha256("another prompt");
  const auto a = store("a.h5", {sample_row(0, 1), sample_row(1, 1)});
  const auto b = store("b.h5", {other});
  const MergeResult result = merge_stores(
      {a, b}, output_, {.keep = [](const std::string& id) { return id != "prompt-1"; }});
  EXPECT_EQ(result.rows, 1u);
  EXPECT_EQ(result.left_out, 2u);
}

TEST_F(Merge, DifferentHeadersAreRefusedSayingWhatDiffers) {
  StoreHeader other = sample_header();
  other.model_sha256 = std::string(64, 'c');
  const auto a = store("a.h5", {sample_row(0, 1)});
  const auto b = store("b.h5", {sample_row(1, 1)}, other);
  expect_error(ErrorKind::data, "model_sha256", [&] { merge({a, b}); });
  const auto c = store("c.h5", {sample_row(1, 1)}, sample_header(Dtype::f16));
  expect_error(ErrorKind::data, "dtype: \"f32\" here, \"f16\" there", [&] { merge({a, c}); });
}

TEST_F(Merge, KeepsBf16AsItIs) {
  const StoreHeader header = sample_header(Dtype::bf16);
  const auto a = store("a.h5", {sample_row(0, 2)}, header);
  const auto b = store("b.h5", {sample_row(1, 1)}, header);
  merge({a, b});
  EXPECT_EQ(GistStore(output_).raw_activations(0).key, sample_raw(header, sample_row(0, 2)).key);
}

TEST_F(Merge, StoresWithoutHiddenStatesMerge) {
  const std::filesystem::path llama = fixtures / "stores/wordtasks-llama-gist-k1.h5";
  const MergeResult result = merge({llama, llama});
  EXPECT_EQ(result.rows, 4u);
  EXPECT_EQ(result.duplicates, 4u);
  const GistStore merged(output_);
  EXPECT_FALSE(merged.has_hidden());
  EXPECT_EQ(merged.activations(2).key, GistStore(llama).activations(2).key);
}

TEST_F(Merge, SaysHowManyRowsOfHowManyAreDone) {
  const auto a = store("a.h5", {at_ordinal(1, 0), at_ordinal(2, 1)});
  const auto b = store("b.h5", {at_ordinal(2, 0), at_ordinal(3, 1), at_ordinal(4, 2)});
  std::vector<std::pair<std::uint64_t, std::uint64_t>> told;
  MergeOptions options;
  options.keep = [](const std::string& id) { return id != "prompt-4"; };
  options.rows_done = [&told](std::uint64_t done, std::uint64_t rows) {
    told.emplace_back(done, rows);
  };
  merge_stores({a, b}, output_, options);
  EXPECT_THAT(told, ElementsAre(Pair(0, 3), Pair(1, 3), Pair(2, 3), Pair(3, 3)));
}

TEST_F(Merge, EmptyStoresMerge) {
  const auto a = store("a.h5", {});
  const auto b = store("b.h5", {sample_row(1, 1)});
  EXPECT_EQ(merge({a, b}).rows, 1u);
  EXPECT_EQ(merge({a}).rows, 0u);
}

}  // namespace
}  // namespace gist
