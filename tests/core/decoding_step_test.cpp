#include "core/decoding_step.h"

#include <gtest/gtest.h>

#include <set>

#include "kernels/meta/meta_backend.h"
#include "tests/core/loaded_model.h"

namespace gist {
namespace {

class DecodingStep : public testing::Test {
 protected:
  std::unique_ptr<CountingBackend> backend_ = make_meta_backend();
  Model model_{std::make_unique<LlamaFamily>(small_shape()), *backend_,
               shapes_only(LlamaFamily(small_shape()).spec(), Dtype::f32)};
  KeyValueCache cache_{model_, 0, 4096};
  Scratch scratch_{*backend_};
  CachedBatch batch_;

  DecodingStep() { batch_.options.cache = &cache_; }

  void extend(CachedRow& row, std::size_t tokens) {
    extend_row(row, std::vector<std::int32_t>(tokens, 1), {}, Condition::pos, StackKind::causal,
               cache_, batch_);
  }
  /// A step of these rows.
  void begin_step(std::vector<CachedRow>& rows) {
    batch_.clear();
    for (CachedRow& row : rows) extend(row, 1);
  }
  std::vector<std::uint64_t> key(Scratch& scratch) {
    Pass pass(model_, batch_.batch, batch_.options, scratch);
    return replay_key(pass, scratch);
  }
};

TEST_F(DecodingStep, EachRowHasOneToken) {
  std::vector<CachedRow> rows(2);
  begin_step(rows);
  EXPECT_TRUE(only_decodes(batch_));
  CachedRow longer;
  extend(longer, 2);
  EXPECT_FALSE(only_decodes(batch_));
  begin_step(rows);
  CachedRow reads_nothing;
  extend(reads_nothing, 0);
  EXPECT_FALSE(only_decodes(batch_));
}

TEST_F(DecodingStep, NoStoredGistIsPlacedAndNoEncoderRead) {
  std::vector<CachedRow> rows(1);
  begin_step(rows);
  const GistActivations gist;
  batch_.options.placed.push_back({&gist, 0, {}});
  EXPECT_FALSE(only_decodes(batch_));
  begin_step(rows);
  batch_.options.cross.rows.shape = {3, 32};
  EXPECT_FALSE(only_decodes(batch_));
  batch_.options.cross.rows.shape = {0, 32};
  EXPECT_TRUE(only_decodes(batch_));
}

TEST_F(DecodingStep, ListsKeepALengthForManySteps) {
  std::vector<CachedRow> rows(10);
  std::set<std::int32_t> lengths;
  for (int step = 0; step < 390; ++step) {
    begin_step(rows);
    const std::int32_t listed = batch_.batch.keys.size();
    pad_lists(batch_.batch);
    const KeyList& keys = batch_.batch.keys;
    EXPECT_GE(keys.size(), listed);
    EXPECT_LT(keys.size(), listed + std::max(1024, listed / 4 + 1));
    for (const auto* list : {&keys.position, &keys.begin, &keys.end}) {
      EXPECT_EQ(static_cast<std::int32_t>(list->size()), keys.size());
    }
    lengths.insert(keys.size());
  }
  EXPECT_EQ(lengths, (std::set<std::int32_t>{1024, 2048, 3072, 4096}));
}

TEST_F(DecodingStep, PaddingAddsNoPairs) {
  std::vector<CachedRow> rows(3);
  for (int step = 0; step < 5; ++step) begin_step(rows);
  const std::int64_t visible = visible_pairs(batch_.batch.keys);
  const std::int64_t listed = listed_pairs(batch_.batch.keys);
  pad_lists(batch_.batch);
  EXPECT_EQ(batch_.batch.keys.size(), 1024);
  EXPECT_EQ(visible_pairs(batch_.batch.keys), visible);
  EXPECT_EQ(listed_pairs(batch_.batch.keys), listed);
}

TEST_F(DecodingStep, EqualStepsHaveOneKey) {
  std::vector<CachedRow> rows(3);
  begin_step(rows);
  pad_lists(batch_.batch);
  key(scratch_);  // the scratch memory takes its place
  const auto first = key(scratch_);
  begin_step(rows);
  pad_lists(batch_.batch);
  EXPECT_EQ(key(scratch_), first);
}

TEST_F(DecodingStep, TheKeyTellsApartWhateverMovesTensors) {
  std::vector<CachedRow> rows(3), fewer(2);
  begin_step(fewer);
  pad_lists(batch_.batch);
  const auto of_fewer = key(scratch_);
  begin_step(rows);
  const auto unpadded = key(scratch_);
  pad_lists(batch_.batch);
  const auto padded = key(scratch_);
  Scratch other(*backend_);
  const auto elsewhere = key(other);
  KeyValueCache cache(model_, 0, 4096);
  batch_.options.cache = &cache;
  const auto cached_elsewhere = key(scratch_);
  scratch_.layers[0].allocate({1 << 20});
  scratch_.layers[0].allocate({1});
  const auto layers_elsewhere = key(scratch_);
  EXPECT_EQ(
      (std::set{of_fewer, unpadded, padded, elsewhere, cached_elsewhere, layers_elsewhere}).size(),
      6U);
}

}  // namespace
}  // namespace gist
