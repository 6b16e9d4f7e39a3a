#pragma once

#include <cstdint>

#include "kernels/ops/cost.h"
#include "kernels/tensor.h"

namespace gist {

/// Blocks of a tensor's columns: block b is [first + b * stride, first + b * stride + width). They
/// don't overlap.
struct ColumnBlocks {
  std::int64_t first = 0;
  std::int64_t width = 0;
  std::int64_t count = 1;
  std::int64_t stride = 0;  // of several

  std::int64_t total_width() const { return count * width; }
};

/// Whether the blocks lie within `columns` columns, one after the other.
bool within(const ColumnBlocks& blocks, std::int64_t columns);

namespace ops {

/// y[m, count * width] = the blocks of x[m, w], one beside the other.
struct Columns {
  static constexpr const char* name = "columns";
  Tensor x;
  ColumnBlocks blocks;
  Tensor y;
};

/// dx[m, w]: dy in the blocks, and zeros elsewhere; added to what is there with `accumulate`.
struct ColumnsBackward {
  static constexpr const char* name = "columns_backward";
  Tensor dy;
  ColumnBlocks blocks;
  bool accumulate = false;
  Tensor dx;
};

void check(const Columns& op);
void check(const ColumnsBackward& op);
OpCost cost(const Columns& op);
OpCost cost(const ColumnsBackward& op);

}  // namespace ops
}  // namespace gist
