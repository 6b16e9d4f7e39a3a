#include <gtest/gtest.h>

#include "tests/kernels/device_arrays.h"
#include "tests/kernels/oracle.h"

namespace gist::test {
namespace {

class Rows : public testing::Test {
 protected:
  std::unique_ptr<Backend> backend_ = backend_under_test();
  DeviceArrays arrays_{*backend_};
};

TEST_F(Rows, EmbeddingReadsTablesOfAnyFloatDtype) {
  const Floats values = {0, 0.5, 1, 1.5, -2, -2.5};  // exact in all dtypes
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16}) {
    const Tensor table = arrays_.empty(dtype, {3, 2});
    std::vector<std::byte> bytes(table.bytes());
    convert_from_f32(values.data(), 6, dtype, bytes.data());
    backend_->upload(table, bytes.data());
    const Tensor y = arrays_.empty({4, 2});
    backend_->run(
        ops::Embedding{.table = table, .ids = arrays_.of({4}, Integers{2, 0, 2, 1}), .y = y});
    EXPECT_EQ(arrays_.floats(y), (Floats{-2, -2.5, 0, 0.5, -2, -2.5, 1, 1.5})) << name_of(dtype);
  }
}

TEST_F(Rows, EmbeddingRefusesIdsOutsideTheTable) {
  const Tensor table = arrays_.of({3, 2}, Floats(6));
  const Tensor y = arrays_.empty({1, 2});
  EXPECT_THROW(
      {
        backend_->run(ops::Embedding{.table = table, .ids = arrays_.of({1}, Integers{3}), .y = y});
        backend_->synchronize();
      },
      Error);
  EXPECT_THROW(
      {
        backend_->run(ops::Embedding{.table = table, .ids = arrays_.of({1}, Integers{-1}), .y = y});
        backend_->synchronize();
      },
      Error);
}

TEST_F(Rows, GatherTakesRowsOfAnyDtypeAndRank) {
  const Tensor x = arrays_.of({3, 1, 2}, Integers{0, 1, 2, 3, 4, 5});
  const Tensor y = arrays_.empty(Dtype::i32, {4, 1, 2});
  backend_->run(ops::GatherRows{.x = x, .rows = arrays_.of({4}, Integers{1, 1, 0, 2}), .y = y});
  EXPECT_EQ(arrays_.integers(y), (Integers{2, 3, 2, 3, 0, 1, 4, 5}));
  EXPECT_THROW(
      {
        backend_->run(
            ops::GatherRows{.x = x, .rows = arrays_.of({4}, Integers{0, 0, 0, 3}), .y = y});
        backend_->synchronize();
      },
      Error);
}

TEST_F(Rows, ScatterLeavesOtherRowsAlone) {
  const Tensor x = arrays_.of({2, 2}, Floats{1, 2, 3, 4});
  const Tensor y = arrays_.of({3, 2}, Floats{9, 9, 9, 9, 9, 9});
  backend_->run(ops::ScatterRows{.x = x, .rows = arrays_.of({2}, Integers{2, 0}), .y = y});
  EXPECT_EQ(arrays_.floats(y), (Floats{3, 4, 9, 9, 1, 2}));
  EXPECT_THROW(
      {
        backend_->run(ops::ScatterRows{.x = x, .rows = arrays_.of({2}, Integers{0, 3}), .y = y});
        backend_->synchronize();
      },
      Error);
}

TEST_F(Rows, GatherUndoesScatterOverManyRows) {
  constexpr std::int64_t m = 5000;
  Random random(1);
  Integers order(m);
  for (std::int32_t i = 0; i < m; ++i) order[static_cast<std::size_t>(i)] = i;
  std::shuffle(order.begin(), order.end(), random.engine());
  const Floats values = random.floats(m * 48);
  const Tensor x = arrays_.of({m, 48}, values);
  const Tensor scattered = arrays_.empty({m, 48});
  const Tensor back = arrays_.empty({m, 48});
  const Tensor rows = arrays_.of({m}, order);
  backend_->run(ops::ScatterRows{.x = x, .rows = rows, .y = scattered});
  backend_->run(ops::GatherRows{.x = scattered, .rows = rows, .y = back});
  EXPECT_EQ(arrays_.floats(back), values);
}

}  // namespace
}  // namespace gist::test
