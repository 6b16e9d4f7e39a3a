#include "gist/fidelity_tenths.h"

#include <gtest/gtest.h>

#include <limits>
#include <vector>

namespace gist {
namespace {

/// An answer of four labels.
RecordResult answer(double kl, int agreements, bool exact) {
  RecordResult result;
  result.fidelity = {4 * kl, 4, agreements};
  result.scores.exact = exact;
  return result;
}

/// 40 records with divergences 0.01 to 0.4, in no order: the nearest `same` are answered alike.
std::vector<RecordResult> records(int same) {
  std::vector<RecordResult> result;
  for (int i = 0; i < 40; ++i) {
    const int rank = (i * 7) % 40;
    result.push_back(answer(0.01 * (rank + 1), rank < same ? 4 : 3, rank % 2 == 0));
  }
  return result;
}

TEST(FidelityTenths, AreRecordsInTheOrderOfTheirDivergence) {
  const FidelityTenths found = fidelity_tenths(records(30));
  ASSERT_EQ(found.tenths.size(), 10U);
  for (std::size_t i = 0; i < 10; ++i) {
    const FidelityTenth& tenth = found.tenths[i];
    EXPECT_EQ(tenth.records, 4U);
    EXPECT_NEAR(tenth.max_kl, 0.04 * static_cast<double>(i + 1), 1e-12);
    EXPECT_EQ(tenth.exact, 0.5);
  }
  EXPECT_EQ(found.tenths[6].same, 1);
  EXPECT_EQ(found.tenths[7].same, 0.5);
  EXPECT_EQ(found.tenths[7].agreement, (4 + 4 + 3 + 3) / 16.0);
  EXPECT_EQ(found.tenths[9].same, 0);
}

TEST(FidelityTenths, TheBoundIsWhereNineOfTenAreStillAnsweredAlike) {
  const FidelityTenths found = fidelity_tenths(records(30));
  EXPECT_NEAR(found.suggested.value(), 0.3, 1e-12);
  EXPECT_EQ(found.kept, 30U);
  EXPECT_EQ(found.kept_same, 1);
  EXPECT_NEAR(fidelity_tenths(records(40)).suggested.value(), 0.4, 1e-12);
}

TEST(FidelityTenths, TheBoundIsOfAShareThatFalls) {
  // The first 10 alike; then 9 of 10 in each of two tens; then every other one. Pooled shares are 1
  // (10), 0.9 (20) and 0.5, with what is alike at the end of a block in the one before.
  std::vector<RecordResult> all;
  for (int i = 0; i < 40; ++i) {
    const bool same = i < 10 || (i < 30 ? i % 10 != 0 : i % 2 == 1);
    all.push_back(answer(0.01 * (i + 1), same ? 4 : 3, false));
  }
  const FidelityTenths found = fidelity_tenths(all);
  EXPECT_NEAR(found.suggested.value(), 0.3, 1e-12);
  EXPECT_EQ(found.kept, 30U);
  EXPECT_NEAR(found.kept_same, 28.0 / 30, 1e-12);
}

TEST(FidelityTenths, WhereNoBoundHelpsNoneIsSuggested) {
  EXPECT_EQ(fidelity_tenths(records(0)).suggested, std::nullopt);
  EXPECT_EQ(fidelity_tenths(records(3)).suggested, std::nullopt);  // less than a tenth
  std::vector<RecordResult> few = records(40);
  few.resize(19);
  EXPECT_EQ(fidelity_tenths(few).suggested, std::nullopt);
  EXPECT_TRUE(fidelity_tenths({}).tenths.empty());
}

TEST(FidelityTenths, EqualDivergencesAreKeptOrRejectedTogether) {
  std::vector<RecordResult> all(30, answer(0.1, 4, true));
  all.insert(all.end(), 20, answer(0.2, 3, true));
  all.front().fidelity.agreements = 3;
  all.back().fidelity.agreements = 4;
  EXPECT_NEAR(fidelity_tenths(all).suggested.value(), 0.1, 1e-12);
}

TEST(FidelityTenths, InfiniteDivergencesComeLast) {
  std::vector<RecordResult> all = records(40);
  all.push_back(answer(std::numeric_limits<double>::infinity(), 4, true));
  const FidelityTenths found = fidelity_tenths(all);
  EXPECT_EQ(found.tenths.back().max_kl, std::numeric_limits<double>::infinity());
  EXPECT_NEAR(found.suggested.value(), 0.4, 1e-12);
}

}  // namespace
}  // namespace gist
