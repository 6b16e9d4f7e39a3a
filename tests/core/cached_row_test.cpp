#include "core/cached_row.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kernels/error.h"
#include "kernels/meta/meta_backend.h"
#include "tests/core/loaded_model.h"

namespace gist {
namespace {

class CachedRows : public testing::Test {
 protected:
  static constexpr std::int32_t blocks = 20;
  static constexpr std::int32_t slots = blocks * KeyValueCache::block_size;
  std::unique_ptr<CountingBackend> backend_ = make_meta_backend();
  Model model_{std::make_unique<LlamaFamily>(small_shape()), *backend_,
               shapes_only(LlamaFamily(small_shape()).spec(), Dtype::f32)};
  KeyValueCache cache_{model_, 0, slots};
  CachedBatch batch_;
  CachedRow row_;

  void extend(std::int32_t tokens, std::vector<Interval> gists, Condition condition) {
    extend_row(row_, std::vector<std::int32_t>(static_cast<std::size_t>(tokens), 1), gists,
               condition, StackKind::causal, cache_, batch_);
  }
};

TEST_F(CachedRows, TheCacheHasTheBlocksItWasAskedFor) {
  EXPECT_EQ(cache_.free_blocks(), blocks);
  EXPECT_EQ(KeyValueCache(model_, 0, 17).free_blocks(), 2);
  EXPECT_EQ(cache_.keys(1).shape, (Shape{blocks * 16, 2, 8}));
  EXPECT_EQ(KeyValueCache::bytes_per_slot(model_.spec().stacks[0]), 4U * 2 * 2 * (8 + 8));
}

TEST_F(CachedRows, ThePromptsBlocksAreFreeAgainAfterTheGist) {
  extend(70, {{66, 68}}, Condition::gist);
  EXPECT_EQ(cache_.free_blocks(), blocks - 5);
  drop_hidden_keys(row_, cache_);
  EXPECT_EQ(row_.slot.size(), 4U);  // two gist tokens and the two after them
  EXPECT_EQ(cache_.free_blocks(), blocks - 1);
}

TEST_F(CachedRows, ThePromptIsDroppedEvenWhereTheGistIsTheLastTokenRead) {
  extend(70, {{68, 70}}, Condition::gist);
  drop_hidden_keys(row_, cache_);
  EXPECT_EQ(row_.slot.size(), 2U);
  EXPECT_EQ(cache_.free_blocks(), blocks - 1);
}

TEST_F(CachedRows, UnderNegTheGistIsDroppedToo) {
  extend(40, {{38, 39}}, Condition::neg);
  drop_hidden_keys(row_, cache_);
  EXPECT_EQ(row_.slot.size(), 1U);
}

TEST_F(CachedRows, UnderPosEverythingStays) {
  extend(40, {{38, 39}}, Condition::pos);
  drop_hidden_keys(row_, cache_);
  EXPECT_EQ(row_.slot.size(), 40U);
  EXPECT_EQ(cache_.free_blocks(), blocks - 3);
}

TEST_F(CachedRows, ReleaseGivesEverythingBack) {
  extend(70, {{66, 68}}, Condition::gist);
  drop_hidden_keys(row_, cache_);
  for (int i = 0; i < 40; ++i) extend(1, {}, Condition::pos);
  release_row(row_, cache_);
  EXPECT_EQ(cache_.free_blocks(), blocks);
  EXPECT_EQ(row_.queries, 0);
}

TEST_F(CachedRows, AStoredGistStandsBeforeTheRow) {
  GistActivations gist;
  gist.tokens = 3;
  place_gist(row_, gist, 50, cache_, batch_);
  extend(2, {}, Condition::pos);
  extend(1, {}, Condition::pos);
  const Batch& batch = batch_.batch;
  EXPECT_EQ(batch.positions, (std::vector<std::int32_t>{53, 54, 55}));
  EXPECT_EQ(batch.keys.rows[1].query_index, 2);
  EXPECT_EQ(batch.keys.rows[1].key_end - batch.keys.rows[1].key_begin, 6);
  EXPECT_EQ(batch_.options.placed[0].slots, (std::vector<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(batch_.options.write_slots, (std::vector<std::int32_t>{3, 4, 5}));
}

TEST_F(CachedRows, AFullCacheSaysSo) {
  EXPECT_THROW(extend(blocks * 16 + 1, {}, Condition::pos), Error);
}

// Whole row or piece by piece, with keys dropped in between: each query sees the same tokens.
TEST_F(CachedRows, QueriesSeeWhatTheySeeInTheWholeSequence) {
  std::mt19937 random(3);
  for (int round = 0; round < 500; ++round) {
    const auto condition = static_cast<Condition>(random() % 3);
    const auto prompt = static_cast<std::int32_t>(1 + random() % 60);
    const auto begin = static_cast<std::int32_t>(random() % static_cast<unsigned>(prompt));
    const Interval gist{begin,
                        std::min(prompt, begin + 1 + static_cast<std::int32_t>(random() % 3))};
    const std::int32_t n = prompt + 20;
    const auto whole = causal_visibility(n, {&gist, 1}, condition);

    std::map<std::int32_t, std::int32_t> token_in;  // by slot
    for (std::int32_t at = 0; at < n;) {
      const std::int32_t tokens = at == 0 ? prompt : 1;
      batch_.clear();
      extend(tokens, at == 0 ? std::vector{gist} : std::vector<Interval>{},
             at == 0 ? condition : Condition::pos);
      for (std::int32_t i = 0; i < tokens; ++i) {
        token_in[batch_.options.write_slots[static_cast<std::size_t>(i)]] = at + i;
      }
      for (std::int32_t query = at; query < at + tokens; ++query) {
        std::vector<bool> seen(static_cast<std::size_t>(n), false);
        for (std::size_t j = 0; j < batch_.batch.keys.slot.size(); ++j) {
          if (batch_.batch.keys.begin[j] <= query && query < batch_.batch.keys.end[j]) {
            seen[static_cast<std::size_t>(token_in.at(batch_.batch.keys.slot[j]))] = true;
          }
        }
        for (std::int32_t key = 0; key < n; ++key) {
          const Interval& queries = whole[static_cast<std::size_t>(key)];
          ASSERT_EQ(seen[static_cast<std::size_t>(key)],
                    queries.begin <= query && query < queries.end)
              << "round " << round << ", " << name_of(condition) << ", query " << query << ", key "
              << key << ", gist [" << gist.begin << ", " << gist.end << "), prompt " << prompt;
        }
      }
      at += tokens;
      drop_hidden_keys(row_, cache_);
    }
    release_row(row_, cache_);
    ASSERT_EQ(cache_.free_blocks(), blocks);
  }
}

}  // namespace
}  // namespace gist
