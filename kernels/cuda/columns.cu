#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// Where an element of the blocks stands among all columns.
__device__ std::int64_t place_of(std::int64_t i, const ColumnBlocks& blocks, std::int64_t part,
                                 std::int64_t columns) {
  const std::int64_t row = i / part;
  const std::int64_t column = i % part;
  return row * columns + blocks.first + column / blocks.width * blocks.stride +
         column % blocks.width;
}

/// y[n / part, part] = the blocks of x[n / part, columns].
__global__ void columns_kernel(const float* x, ColumnBlocks blocks, std::int64_t part,
                               std::int64_t columns, std::int64_t n, float* y) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    y[i] = x[place_of(i, blocks, part, columns)];
  }
}

__global__ void add_columns_kernel(const float* dy, ColumnBlocks blocks, std::int64_t part,
                                   std::int64_t columns, std::int64_t n, float* dx) {
  for (std::int64_t i = first_element(); i < n; i += element_step()) {
    dx[place_of(i, blocks, part, columns)] += dy[i];
  }
}

}  // namespace

void compute(const ops::Columns& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  const std::int64_t n = op.y.shape.elements();
  launch(context.device, elementwise_grid(context.device, n), columns_kernel,
         data_of<const float>(op.x), op.blocks, op.blocks.total_width(), op.x.shape[1], n,
         data_of<float>(op.y));
}

void compute(const ops::ColumnsBackward& op, Context& context) {
  if (!op.accumulate) compute(ops::Zero{.x = op.dx}, context);
  if (!context.begin(op.name, op.dy)) return;
  const std::int64_t n = op.dy.shape.elements();
  launch(context.device, elementwise_grid(context.device, n), add_columns_kernel,
         data_of<const float>(op.dy), op.blocks, op.blocks.total_width(), op.dx.shape[1], n,
         data_of<float>(op.dx));
}

}  // namespace gist::cuda
