#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/products.h"

namespace gist::cuda {
namespace {

constexpr std::int64_t part_rows = 64;

/// sums[part, column] = the sum of the part's rows; part: blockIdx.y.
__global__ void sum_parts_kernel(const float* x, std::int64_t rows, std::int64_t columns,
                                 float* sums) {
  const std::int64_t column = first_element();
  if (column >= columns) return;
  const std::int64_t begin = blockIdx.y * part_rows;
  const std::int64_t end = begin + part_rows < rows ? begin + part_rows : rows;
  float sum = 0;
  for (std::int64_t row = begin; row < end; ++row) sum += x[row * columns + column];
  sums[blockIdx.y * columns + column] = sum;
}

__global__ void add_parts_kernel(const float* sums, std::int64_t parts, std::int64_t columns,
                                 float* sum) {
  const std::int64_t column = first_element();
  if (column >= columns) return;
  float total = sum[column];
  for (std::int64_t part = 0; part < parts; ++part) total += sums[part * columns + column];
  sum[column] = total;
}

}  // namespace

void add_rows(Context& context, const float* x, std::int64_t rows, std::int64_t columns,
              float* sum) {
  const std::int64_t parts = (rows + part_rows - 1) / part_rows;
  float* sums = context.sums.reserve_array<float>(static_cast<std::size_t>(parts * columns));
  const auto blocks =
      static_cast<unsigned>((columns + elementwise_threads - 1) / elementwise_threads);
  launch(context.device, {dim3(blocks, static_cast<unsigned>(parts)), dim3(elementwise_threads)},
         sum_parts_kernel, x, rows, columns, sums);
  launch(context.device, {dim3(blocks), dim3(elementwise_threads)}, add_parts_kernel, sums, parts,
         columns, sum);
}

}  // namespace gist::cuda
