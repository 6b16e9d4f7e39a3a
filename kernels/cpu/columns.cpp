#include <algorithm>

#include "kernels/cpu/operations.h"
#include "kernels/cpu/parallel.h"

namespace gist::cpu {
namespace {

constexpr std::int64_t floats_a_thread = 16384;

/// Calls each(from, to) for every row's blocks: `all` at a block's place among all columns, `part`
/// at its place among the blocks alone.
template <typename Each>
void for_blocks(ThreadPool& threads, const ColumnBlocks& blocks, std::int64_t rows,
                std::int64_t columns, const Each& each) {
  const std::int64_t part = blocks.total_width();
  parallel_ranges(
      threads, rows, floats_a_thread / columns + 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
          for (std::int64_t b = 0; b < blocks.count; ++b) {
            each(i * columns + blocks.first + b * blocks.stride, i * part + b * blocks.width);
          }
        }
      });
}

}  // namespace

void compute(const ops::Columns& op, Context& context) {
  const auto* from = static_cast<const float*>(op.x.data);
  auto* to = static_cast<float*>(op.y.data);
  for_blocks(context.threads, op.blocks, op.x.shape[0], op.x.shape[1],
             [&](std::int64_t all, std::int64_t part) {
               std::copy_n(from + all, op.blocks.width, to + part);
             });
}

void compute(const ops::ColumnsBackward& op, Context& context) {
  const auto* from = static_cast<const float*>(op.dy.data);
  auto* to = static_cast<float*>(op.dx.data);
  if (!op.accumulate) compute(ops::Zero{.x = op.dx}, context);
  for_blocks(context.threads, op.blocks, op.dx.shape[0], op.dx.shape[1],
             [&](std::int64_t all, std::int64_t part) {
               for (std::int64_t i = 0; i < op.blocks.width; ++i) to[all + i] += from[part + i];
             });
}

}  // namespace gist::cpu
