#include <gtest/gtest.h>

#include <limits>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

struct ColumnsCase {
  std::int64_t rows, columns;
  ColumnBlocks blocks;
};

// A third of a fused projection, the queries of heads that stand beside their keys and values, single
// columns, everything.
const ColumnsCase column_cases[] = {
    {3, 12, {.first = 4, .width = 4}},
    {5, 90, {.first = 10, .width = 10, .count = 3, .stride = 30}},
    {300, 130, {.first = 1, .width = 1, .count = 43, .stride = 3}},
    {2, 7, {.first = 0, .width = 7}},
    {0, 7, {.first = 2, .width = 3}},
};

class Columns : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
  Random random_{1};
};

/// Calls each(place among all columns, place among the blocks) for every element of the blocks.
template <typename Each>
void for_elements(const ColumnsCase& c, const Each& each) {
  std::size_t part = 0;
  for (std::int64_t row = 0; row < c.rows; ++row) {
    for (std::int64_t block = 0; block < c.blocks.count; ++block) {
      for (std::int64_t i = 0; i < c.blocks.width; ++i) {
        each(static_cast<std::size_t>(row * c.columns + c.blocks.first + block * c.blocks.stride +
                                      i),
             part++);
      }
    }
  }
}

TEST_F(Columns, TakesBlocks) {
  for (const ColumnsCase& c : column_cases) {
    const Floats x = random_.floats(c.rows * c.columns);
    const std::int64_t width = c.blocks.total_width();
    const Tensor y = arrays_.filled({c.rows, width}, 99);
    backend_->run(
        ops::Columns{.x = arrays_.of({c.rows, c.columns}, x), .blocks = c.blocks, .y = y});
    Floats expected(static_cast<std::size_t>(c.rows * width));
    for_elements(c, [&](std::size_t all, std::size_t part) { expected[part] = x[all]; });
    EXPECT_EQ(arrays_.floats(y), expected);
  }
}

TEST_F(Columns, GiveTheirGradientBack) {
  for (const ColumnsCase& c : column_cases) {
    const std::int64_t width = c.blocks.total_width();
    const Floats dy = random_.floats(c.rows * width), before = random_.floats(c.rows * c.columns);
    for (const bool accumulate : {false, true}) {
      const Tensor dx = arrays_.of({c.rows, c.columns}, before);
      backend_->run(ops::ColumnsBackward{.dy = arrays_.of({c.rows, width}, dy),
                                         .blocks = c.blocks,
                                         .accumulate = accumulate,
                                         .dx = dx});
      Floats expected = accumulate ? before : Floats(before.size());
      for_elements(c, [&](std::size_t all, std::size_t part) { expected[all] += dy[part]; });
      EXPECT_EQ(arrays_.floats(dx), expected);
    }
  }
}

TEST(ColumnBlocks, LieWithinTheColumns) {
  EXPECT_TRUE(within({.first = 3, .width = 4}, 7));
  EXPECT_FALSE(within({.first = 4, .width = 4}, 7));
  EXPECT_FALSE(within({.first = -1, .width = 4}, 7));
  EXPECT_FALSE(within({.first = 8, .width = 1}, 7));
  EXPECT_FALSE(within({.first = 0, .width = 0}, 7));
  EXPECT_FALSE(within({.first = 0, .width = 1, .count = 0}, 7));
  EXPECT_TRUE(within({.first = 1, .width = 2, .count = 2, .stride = 4}, 7));
  EXPECT_FALSE(within({.first = 2, .width = 2, .count = 2, .stride = 4}, 7));
  EXPECT_FALSE(within({.first = 0, .width = 2, .count = 2, .stride = 1}, 7)) << "overlap";
  constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();
  EXPECT_FALSE(within({.first = 1, .width = huge}, 7));
  EXPECT_FALSE(within({.first = 1, .width = 2, .count = huge, .stride = huge}, 7));
}

}  // namespace
}  // namespace gist::test
