#include "kernels/ops/columns.h"

#include "kernels/ops/check_tensors.h"

namespace gist {

bool within(const ColumnBlocks& blocks, std::int64_t columns) {
  if (blocks.first < 0 || blocks.width < 1 || blocks.count < 1 || blocks.first > columns ||
      blocks.width > columns - blocks.first) {
    return false;
  }
  if (blocks.count == 1) return true;
  const std::int64_t room = columns - blocks.first - blocks.width;
  return blocks.stride >= blocks.width && blocks.count - 1 <= room / blocks.stride;
}

namespace ops {
namespace {

void check_blocks(const char* op, const ColumnBlocks& blocks, const Tensor& all,
                  const Tensor& part) {
  const Shape& shape = all.shape;
  if (shape.rank != 2 || !is_f32(all, shape) || !within(blocks, shape[1]) ||
      !is_f32(part, {shape[0], blocks.total_width()})) {
    refuse(
        op,
        fmt::format("f32 [m, w] and [m, {}] with {} blocks of {} columns from {} on, {} apart, "
                    "within w",
                    blocks.total_width(), blocks.count, blocks.width, blocks.first, blocks.stride),
        {{"all", all}, {"part", part}});
  }
}

}  // namespace

void check(const Columns& op) {
  check_blocks(op.name, op.blocks, op.x, op.y);
}

void check(const ColumnsBackward& op) {
  check_blocks(op.name, op.blocks, op.dx, op.dy);
}

OpCost cost(const Columns& op) {
  return one_call(0, {&op.y}, {&op.y});
}

OpCost cost(const ColumnsBackward& op) {
  return one_call(op.accumulate ? op.dy.shape.elements() : 0, {&op.dy},
                  {op.accumulate ? &op.dy : &op.dx});
}

}  // namespace ops
}  // namespace gist
