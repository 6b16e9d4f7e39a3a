#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gist/win_rate.h"
#include "tests/formats/test_support.h"

namespace gist {
namespace {

using testing::expect_error;
using testing::TemporaryDirectory;
using testing::write_file;

constexpr const char* win_rate_key =
    R"({"pair": 0, "system": "gist", "reference": "pos", "system_is": "a"}
{"pair": 1, "system": "gist", "reference": "pos", "system_is": "b"}
{"pair": 2, "system": "gist", "reference": "pos", "system_is": "a"}
)";

struct WinRates : ::testing::Test {
  TemporaryDirectory directory;
  std::string key = (directory / "key").string();
  std::string verdicts = (directory / "verdicts").string();
  BootstrapOptions bootstrap;

  WinRates() { write_file(key, win_rate_key); }
};

TEST(BlindedPairs, AreAllRecordsOfAllSystemsButTheReference) {
  Evaluation evaluation;
  evaluation.systems.resize(3);
  evaluation.reference_system = 1;
  evaluation.records.resize(50);
  std::set<std::pair<std::size_t, std::size_t>> seen;
  int first = 0;
  for (const BlindedPair& pair : blinded_pairs(evaluation, 1)) {
    EXPECT_NE(pair.system, 1U);
    EXPECT_TRUE(seen.emplace(pair.system, pair.record).second);
    first += pair.system_is_a ? 1 : 0;
  }
  EXPECT_EQ(seen.size(), 100U);
  EXPECT_GT(first, 20);
  EXPECT_LT(first, 80);
}

TEST_F(WinRates, CountWhomTheJudgePreferred) {
  write_file(verdicts, R"({"pair": 0, "verdict": "a"}
{"pair": 1, "verdict": "a"}
{"pair": 2, "verdict": "tie"}
)");
  const std::vector<WinRate> rates = win_rates(verdicts, key, false, bootstrap);
  ASSERT_EQ(rates.size(), 1U);
  EXPECT_EQ(rates[0].system, "gist");
  EXPECT_EQ(rates[0].wins, 1U);
  EXPECT_EQ(rates[0].losses, 1U);
  EXPECT_EQ(rates[0].ties, 1U);
  EXPECT_DOUBLE_EQ(rates[0].rate.value, 0.5);
}

TEST_F(WinRates, APairWithoutAVerdictIsAnErrorUnlessTheCallerAllowsIt) {
  write_file(verdicts, R"({"pair": 0, "verdict": "a"})");
  expect_error(ErrorKind::data, "2 of 3 pairs",
               [&] { win_rates(verdicts, key, false, bootstrap); });
  EXPECT_EQ(win_rates(verdicts, key, true, bootstrap).at(0).wins, 1U);
}

TEST_F(WinRates, AVerdictOfNoPairIsAnError) {
  write_file(verdicts, R"({"pair": 7, "verdict": "a"})");
  expect_error(ErrorKind::data, "does not stand",
               [&] { win_rates(verdicts, key, true, bootstrap); });
}

}  // namespace
}  // namespace gist
