#include "cli/fidelity_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace gist {
namespace {

using testing::HasSubstr;

/// 40 records with divergences 0.01 to 0.4 a label: the nearest `same` are answered alike.
std::vector<RecordResult> fidelity_records(int same) {
  std::vector<RecordResult> result(40);
  for (int i = 0; i < 40; ++i) {
    result[static_cast<std::size_t>(i)].fidelity = {4 * 0.01 * (i + 1), 4, i < same ? 4 : 3};
  }
  return result;
}

TEST(FidelityTable, SaysWhichBoundToGive) {
  const std::string table = fidelity_table(fidelity_tenths(fidelity_records(30)), "gist", "pos");
  EXPECT_THAT(table, HasSubstr("gist against pos"));
  EXPECT_THAT(table, HasSubstr("--max-kl 0.3 lets 75.0 % through, 100.0 % of them"));
  EXPECT_THAT(fidelity_table(fidelity_tenths(fidelity_records(0)), "gist", "pos"),
              HasSubstr("no --max-kl is suggested"));
}

TEST(FidelityTable, IsEmptyWhereNothingWasCompared) {
  EXPECT_EQ(fidelity_table({}, "a", "b"), "");
}

}  // namespace
}  // namespace gist
