#include "core/visibility.h"

#include <gtest/gtest.h>

#include <random>

#include "core/batch.h"
#include "kernels/error.h"

namespace gist {
namespace {

/// The definition: what comes after a gist can't see what comes before it, or the gist itself
/// (neg).
bool sees(std::int32_t query, std::int32_t key, const std::vector<Interval>& gists,
          Condition condition) {
  if (key > query) return false;
  for (const Interval& gist : gists) {
    if (query < gist.end || condition == Condition::pos) continue;
    if (key < (condition == Condition::gist ? gist.begin : gist.end)) return false;
  }
  return true;
}

class RandomRows {
 public:
  std::int32_t below(std::int32_t limit) {
    return static_cast<std::int32_t>(random_() % static_cast<std::uint32_t>(limit));
  }
  /// Returns up to three gists, side by side at times.
  std::vector<Interval> gists(std::int32_t n, bool at_least_one) {
    std::vector<Interval> result;
    std::int32_t at = 0;
    for (int i = below(4); i > 0 || (at_least_one && result.empty()); --i) {
      const std::int32_t begin = at + below(n);
      const std::int32_t end = begin + 1 + below(3);
      if (end > n) continue;
      result.push_back({begin, end});
      at = end;
    }
    return result;
  }

 private:
  std::mt19937 random_{7};
};

TEST(EndsWithin, NarrowWhatABatchSeesToTheWindow) {
  RandomRows random;
  for (int round = 0; round < 2000; ++round) {
    const std::int32_t window = 1 + random.below(12);
    const auto condition = static_cast<Condition>(random.below(3));
    Batch batch;
    std::vector<std::int32_t> expected;
    for (int row = 0; row < 3; ++row) {
      const std::int32_t n = 1 + random.below(24);
      const std::vector<Interval> gists = random.gists(n, true);
      const std::vector<std::int32_t> ids(static_cast<std::size_t>(n), 5);
      add_sequence(batch, {ids, gists}, condition, StackKind::causal);
      for (std::int32_t key = 0; key < n; ++key) {
        std::int32_t query = key;
        while (query < n && query - key < window && sees(query, key, gists, condition)) ++query;
        expected.push_back(query);
      }
    }
    ASSERT_EQ(ends_within(batch, window), expected)
        << "round " << round << ", " << name_of(condition) << ", window " << window;
  }
}

TEST(EndsWithin, CountsStoredKeysByTheirPositions) {
  // Behind a stored gist at position 7 stand queries 4 and 5 of a row whose query 0 stands at 8.
  Batch batch;
  batch.positions = {12, 13};
  batch.keys.add(0, 7, {0, INT32_MAX});
  batch.keys.add(1, 11, {3, INT32_MAX});
  batch.keys.add(2, 12, {4, INT32_MAX});
  batch.keys.rows.push_back({0, 2, 4, 0, 3});
  EXPECT_EQ(ends_within(batch, 6), (std::vector<std::int32_t>{5, 9, 10}));
  EXPECT_EQ(ends_within(batch, 1), (std::vector<std::int32_t>{0, 4, 5}));
}

TEST(EndsWithin, TakeAWindowOfAnySize) {
  Batch batch;
  add_sequence(batch, {{5, 5}, {}}, Condition::pos, StackKind::causal);
  EXPECT_EQ(ends_within(batch, INT32_MAX), (std::vector<std::int32_t>{2, 2}));
}

TEST(CausalVisibility, EqualsItsDefinitionOnRandomRows) {
  RandomRows random;
  for (int round = 0; round < 20000; ++round) {
    const std::int32_t n = 1 + random.below(24);
    const auto condition = static_cast<Condition>(random.below(3));
    const std::vector<Interval> gists = random.gists(n, condition != Condition::pos);
    const std::vector<Interval> visible = causal_visibility(n, gists, condition);
    ASSERT_EQ(visible.size(), static_cast<std::size_t>(n));
    for (std::int32_t i = 0; i < n; ++i) {
      for (std::int32_t j = 0; j < n; ++j) {
        const Interval& queries = visible[static_cast<std::size_t>(j)];
        ASSERT_EQ(queries.begin <= i && i < queries.end, sees(i, j, gists, condition))
            << "round " << round << ", " << name_of(condition) << ", query " << i << ", key " << j;
      }
    }
  }
}

TEST(CausalVisibility, HidesThePromptFromWhatFollowsTheGist) {
  const std::vector<Interval> gist{{2, 3}};
  EXPECT_EQ(causal_visibility(5, gist, Condition::gist),
            (std::vector<Interval>{{0, 3}, {1, 3}, {2, 5}, {3, 5}, {4, 5}}));
  EXPECT_EQ(causal_visibility(5, gist, Condition::neg),
            (std::vector<Interval>{{0, 3}, {1, 3}, {2, 3}, {3, 5}, {4, 5}}));
  EXPECT_EQ(causal_visibility(5, gist, Condition::pos),
            (std::vector<Interval>{{0, 5}, {1, 5}, {2, 5}, {3, 5}, {4, 5}}));
}

TEST(CausalVisibility, RefusesARowWithoutGist) {
  for (const Condition condition : {Condition::gist, Condition::neg}) {
    try {
      causal_visibility(3, {}, condition);
      FAIL() << name_of(condition);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::data);
    }
  }
  EXPECT_NO_THROW(causal_visibility(3, {}, Condition::pos));
}

TEST(Batch, CountsPairsOfItsOwnRowsOnly) {
  Batch batch;
  add_sequence(batch, {{5, 5, 5}, {}}, Condition::pos, StackKind::causal);
  add_sequence(batch, {{5, 5, 5, 5, 5}, {{2, 3}}}, Condition::gist, StackKind::causal);
  // Causal: 1 + 2 + 3. Gist: 1 + 2 + 3, then the gist and what follows: 2 + 3.
  EXPECT_EQ(visible_pairs(batch.keys), 6 + 11);
  EXPECT_EQ(listed_pairs(batch.keys), 3 * 3 + 5 * 5);
}

TEST(Condition, IsFoundByItsName) {
  for (const Condition condition : {Condition::gist, Condition::pos, Condition::neg}) {
    EXPECT_EQ(condition_named(name_of(condition)), condition);
  }
  EXPECT_EQ(condition_named("none"), std::nullopt);
}

}  // namespace
}  // namespace gist
