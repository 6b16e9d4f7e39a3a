#include "kernels/cuda/elementwise.h"
#include "kernels/cuda/fault.h"
#include "kernels/cuda/operations.h"

namespace gist::cuda {
namespace {

/// A block a row of `units` units: to[i] = from[rows[i]], or to[rows[i]] = from[i].
template <typename Unit>
__global__ void copy_rows_kernel(const Unit* from, const std::int32_t* rows, std::int64_t units,
                                 bool gather, IndexCheck check, Unit* to) {
  const int row = static_cast<int>(blockIdx.x);
  const int other = rows[row];
  if (!check.passes(row, other)) return;
  const Unit* source = from + (gather ? other : row) * units;
  Unit* target = to + (gather ? row : other) * units;
  for (std::int64_t i = threadIdx.x; i < units; i += blockDim.x) target[i] = source[i];
}

void copy_rows(Device& device, const Tensor& from, const Tensor& rows, const Tensor& to,
               bool gather, const char* what, std::int64_t limit) {
  const std::int64_t m = rows.shape[0];
  const std::int64_t bytes =
      static_cast<std::int64_t>((gather ? to : from).bytes() / static_cast<std::size_t>(m));
  const Grid grid{dim3(static_cast<unsigned>(m)), dim3(elementwise_threads)};
  const IndexCheck check(device, what, limit);
  const auto copy = [&]<typename Unit>(Unit) {
    launch(device, grid, copy_rows_kernel<Unit>, data_of<const Unit>(from),
           data_of<const std::int32_t>(rows), bytes / static_cast<std::int64_t>(sizeof(Unit)),
           gather, check, data_of<Unit>(to));
  };
  if (bytes % 16 == 0) {
    copy(float4{});
  } else if (bytes % 4 == 0) {
    copy(std::uint32_t{});
  } else {
    copy(std::uint16_t{});
  }
}

}  // namespace

void compute(const ops::GatherRows& op, Context& context) {
  if (!context.begin(op.name, op.y)) return;
  copy_rows(context.device, op.x, op.rows, op.y, true, "gather_rows: expected rows", op.x.shape[0]);
}

void compute(const ops::ScatterRows& op, Context& context) {
  if (!context.begin(op.name, op.x)) return;
  copy_rows(context.device, op.x, op.rows, op.y, false, "scatter_rows: expected rows",
            op.y.shape[0]);
}

}  // namespace gist::cuda
