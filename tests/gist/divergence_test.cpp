#include <gtest/gtest.h>

#include "gist/train_log.h"

namespace gist {
namespace {

DivergenceDetector after(const std::vector<double>& losses) {
  DivergenceDetector detector;
  for (const double loss : losses) detector.add(loss);
  return detector;
}

std::vector<double> then(double first, std::size_t count, double loss) {
  std::vector<double> losses(count, loss);
  losses.insert(losses.begin(), first);
  return losses;
}

TEST(Divergence, LossesThatStayAboveTheFirstDiverge) {
  EXPECT_FALSE(after(then(2.5, 31, 9)).diverges());  // not yet
  EXPECT_TRUE(after(then(2.5, 32, 9)).diverges());
  EXPECT_TRUE(after(then(2.5, 32, 9)).diverged());
  EXPECT_FALSE(after(then(2.5, 100, 2.6)).diverges());  // by less than a tenth
  EXPECT_FALSE(after(then(2.5, 100, 1)).diverged());
}

TEST(Divergence, OneLossBelowTheFirstIsEnoughNotTo) {
  std::vector<double> losses = then(2.5, 40, 9);
  losses[20] = 2.4;
  EXPECT_FALSE(after(losses).diverges());
}

TEST(Divergence, ARunThatRecoversHasNotDiverged) {
  std::vector<double> losses = then(2.5, 60, 9);
  losses.insert(losses.end(), 20, 1.0);
  EXPECT_FALSE(after(losses).diverged());
}

TEST(Divergence, AShortRunDivergesWhereItsLastHalfIsFarAboveTheFirst) {
  EXPECT_TRUE(after({2.5, 2000, 9000, 11000, 11958}).diverged());
  EXPECT_FALSE(after({2.5, 2000, 9000, 11000}).diverged());  // too few to tell
  EXPECT_FALSE(after({2.5, 3, 3, 3, 3, 3, 3}).diverged());
  EXPECT_FALSE(after({}).diverged());
}

}  // namespace
}  // namespace gist
