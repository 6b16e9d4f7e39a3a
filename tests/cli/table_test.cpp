#include "cli/table.h"

#include <gtest/gtest.h>

namespace gist {
namespace {

const Table shown_table{{{"metric", "pos", "gist", "neg"}, {"loss", "0.1", "0.2", "1.4"}}};

TEST(Table, ColumnsStandSideBySideWhereTheLineIsWideEnough) {
  EXPECT_EQ(shown_table.text(80),
            "metric  pos  gist  neg\n"
            "loss    0.1   0.2  1.4\n");
}

TEST(Table, ColumnsThatDontFitFollowBelow) {
  EXPECT_EQ(shown_table.text(18),
            "metric  pos  gist\n"
            "loss    0.1   0.2\n"
            "\n"
            "metric  neg\n"
            "loss    1.4\n");
}

TEST(Table, AWiderLineHasWiderCells) {
  const Table names{{{"name", std::string(50, 'x')}}};
  EXPECT_EQ(names.text(80), "name  " + std::string(28, 'x') + "\n");
  EXPECT_EQ(names.text(160), "name  " + std::string(50, 'x') + "\n");
}

}  // namespace
}  // namespace gist
